"""Parts of `load.py`: the gate against releases that are bad on purpose, and load lines."""
