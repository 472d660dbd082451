"""Wall-clock times become moments, in the two odd hours of the year too."""

import pandas as pd
import pytest

from tonnage.datasets.times import to_utc


@pytest.mark.parametrize(
    ("local", "utc", "odd"),
    [
        ("2011-01-05 08:26", "2011-01-05 08:26", 0),
        ("2011-07-05 08:26", "2011-07-05 07:26", 0),
        ("2011-10-30 00:59", "2011-10-29 23:59", 0),
        # 01:30 happened at 00:30 and at 01:30 UTC.
        ("2011-10-30 01:30", "2011-10-30 00:30", 1),
        ("2011-10-30 02:00", "2011-10-30 02:00", 0),
        # The clock went from 01:00 to 02:00, which was 01:00 UTC.
        ("2011-03-27 01:30", "2011-03-27 01:00", 1),
        ("2011-03-27 02:00", "2011-03-27 01:00", 0),
    ],
)
def test_local_time_to_utc(local: str, utc: str, odd: int):
    moments, counted = to_utc(pd.Series([pd.Timestamp(local)]), "Europe/London")
    assert moments[0] == pd.Timestamp(utc, tz="UTC")
    assert counted == odd
    assert str(moments.dtype) == "datetime64[us, UTC]"


def test_a_time_that_is_not_there_stays_so():
    moments, counted = to_utc(pd.Series([pd.NaT, pd.Timestamp("2011-01-05")]), "Europe/London")
    assert moments.isna().tolist() == [True, False]
    assert counted == 0
