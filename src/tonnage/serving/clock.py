"""The time that features and events refer to."""

import time
from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], float]
"""Answers with now, in seconds since the epoch in UTC."""


def clock_for(*, replay: bool, until: datetime) -> Clock:
    """The clock of a release.

    Historical data would make every user look absent for years, so a release of a replayed dataset counts
    from the end of its data; the clock goes on from there as the process lives.

    Args:
        replay: the data are historical.
        until: end of the release's data, with its timezone.
    """
    if not replay:
        return time.time
    offset = until.timestamp() - time.monotonic()
    return lambda: offset + time.monotonic()
