"""Local times to UTC, with the two odd hours of the year handled on purpose."""

import numpy as np
import pandas as pd

from tonnage.datasets.tables import TIME


def to_utc(naive: pd.Series, zone: str) -> tuple[pd.Series, int]:
    """Read wall-clock times of `zone` as moments in UTC.

    In autumn one hour happens twice: the first of the two is taken, so that no event is dated later
    than it can have been. In spring one hour does not exist: a time in it moves to the end of the gap.

    Args:
        naive: datetime64 without a zone.
        zone: IANA name.

    Returns:
        The moments as datetime64[us, UTC], and how many of them lay in one of the two hours.
    """
    first_of_two = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(zone, ambiguous=first_of_two, nonexistent="shift_forward")
    second = naive.dt.tz_localize(zone, ambiguous=~first_of_two, nonexistent="shift_forward")
    odd = (local != second) | (local.dt.tz_localize(None) != naive)
    return local.dt.tz_convert("UTC").astype(TIME), int((odd & naive.notna()).sum())
