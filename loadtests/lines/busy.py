"""A locustfile of people who keep Locust busy with itself: what they measure is their own slowness."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import locustfile
from locustfile import *  # noqa: F403 - its options and listeners are those of this test too

SUMS = 400_000
"""Numbers that are added up after each answer: some milliseconds."""


class Calculating(locustfile.RetrieverBinary):
    """Asks as others do, and calculates between two questions."""

    def wait_time(self) -> float:
        """Work, and then wait for the next moment to ask."""
        sum(range(SUMS))
        return super().wait_time()
