"""One immutable unit with one id: what is trained, registered, served and rolled back together."""
