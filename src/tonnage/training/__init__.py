"""From tables and feature rows to everything a release is made of, judged on days it has not seen."""
