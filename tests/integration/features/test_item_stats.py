"""Item statistics against counting by hand."""

import math
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from tests.factories import shop

from tonnage.domain import ItemId
from tonnage.features.config import FeaturesConfig
from tonnage.features.item_stats import COUNTS, LEVELS, WINDOWS
from tonnage.features.store import OfflineFeatures, build
from tonnage.telemetry import Silent

ITEMS = [ItemId(item) for item in shop.ITEMS]


@pytest.mark.parametrize("days", [1, 9, 33, shop.DAYS, shop.DAYS + 1])
def test_counts_are_those_of_distinct_users_and_days(built: Path, days: int):
    """A running sum with a slip in it looks like a trend."""
    at = shop.OPENED + timedelta(days=days)
    # Past the data the last snapshot holds, and windows end with it.
    end = min(at, shop.OPENED + timedelta(days=shop.DAYS))
    known = OfflineFeatures(built).item_rows(ITEMS, at)
    past = shop.interactions().query("at < @at").assign(day=lambda rows: rows["at"].dt.floor("D"))
    for item in ITEMS:
        rows = past[past["item_id"] == item]
        orders = rows[["user_id", "day"]].drop_duplicates()
        for window in WINDOWS:
            recent = rows[rows["at"] >= end - timedelta(days=window)]
            assert known.loc[item, f"buyers_{window}"] == recent["user_id"].nunique()
        assert known.loc[item, "buyers_all"] == rows["user_id"].nunique()
        assert known.loc[item, "orders_all"] == len(orders)
        assert known.loc[item, "units_all"] == rows["quantity"].sum()
        if len(rows):
            repeaters = (orders.groupby("user_id").size() > 1).sum()
            assert known.loc[item, "repeat_rate"] == pytest.approx(
                (repeaters + 1) / (rows["user_id"].nunique() + 10)
            )
            assert known.loc[item, "age_days"] == (end - rows["day"].min()).days
            assert known.loc[item, "idle_days"] == (end - rows["day"].max()).days


def test_price_level_is_what_was_paid_for_a_unit(built: Path):
    """Events without a price must not make an item look cheap."""
    known = OfflineFeatures(built).item_rows(ITEMS, shop.OPENED + timedelta(days=shop.DAYS))
    priced = shop.interactions().dropna(subset=["price"])
    for item, rows in priced.groupby("item_id"):
        level = (rows["price"] * rows["quantity"]).sum() / rows["quantity"].sum()
        assert known.loc[str(item), "log_price"] == pytest.approx(math.log(1 + level))


def test_an_item_nobody_had_counts_zero_and_has_no_level(built: Path):
    """NaN lets the ranker treat the unknown as unknown; a zero price would be a bargain."""
    row = OfflineFeatures(built).item_rows([ItemId("new")], shop.OPENED).loc["new"]
    assert (row[[*COUNTS]] == 0).all()
    assert row[[*LEVELS]].isna().all()


def test_rarer_snapshots_still_end_with_the_data(tmp_path: Path):
    """The release is trained as of the end, so that snapshot must be there whatever the step."""
    data = shop.write(shop.interactions(), tmp_path / "data")
    build(data, tmp_path / "features", FeaturesConfig(item_every_days=7), progress=Silent())
    rows = pd.read_parquet(tmp_path / "features" / "rows" / "item_stats.parquet")
    assert rows["event_timestamp"].max() == shop.OPENED + timedelta(days=shop.DAYS, microseconds=-1)
    assert rows["event_timestamp"].nunique() <= shop.DAYS / 7 + 1
