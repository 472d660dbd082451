"""Changes a module of a service from outside: by a `sitecustomize.py`, which Python runs at its start."""

_FINDER = '''
import sys
from importlib.machinery import PathFinder

NAME = "{module}"


class Finder:
    """Finds one module as anybody would, and changes it once it has run."""

    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            spoil(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
'''


def spoiling(module: str, code: str) -> str:
    """A `sitecustomize.py` that calls `spoil(module)` once a module was imported.

    Args:
        module: its name.
        code: that defines `spoil`.
    """
    return _FINDER.format(module=module) + code
