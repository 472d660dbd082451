"""Whether a canary may take the place of stable: what is measured of both, and what that proves."""
