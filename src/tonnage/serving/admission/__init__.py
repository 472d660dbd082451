"""Who gets in, how many at once, and what that is decided by."""
