"""No feature row uses anything at or after its label's time."""

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.factories import shop
from tests.factories.shop import assert_same_row

from tonnage.domain import ItemId, UserId
from tonnage.errors import DataError
from tonnage.features.config import FeaturesConfig
from tonnage.features.rows import UserRow
from tonnage.features.store import OfflineFeatures, build
from tonnage.telemetry import Silent

USERS = [UserId(user) for user in (*shop.USERS, "silent", "ghost")]
ITEMS = [ItemId(item) for item in (*shop.ITEMS, "unsold")]
CUTOFFS = st.integers(-1, shop.DAYS + 2).map(lambda days: shop.OPENED + timedelta(days=days))
FEW = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
"""Each example builds all features twice."""


def features_of(events: pd.DataFrame, directory: Path) -> OfflineFeatures:
    build(shop.write(events, directory / "data"), directory / "features", FeaturesConfig(), progress=Silent())
    return OfflineFeatures(directory / "features")


def poisoned(events: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Everything from `at` on made absurd, and an event of every user on a new item at the very instant."""
    future = events["at"] >= at
    absurd = events.assign(
        quantity=events["quantity"].where(~future, 1e6), price=events["price"].where(~future, 1e6)
    )
    instant = [(f"p{user}", user, "poison", "purchase", at, 1e6, 1e6) for user in shop.USERS]
    crowd = [(f"q{item}", "stranger", item, "purchase", at, 1e6, 1e6) for item in shop.ITEMS]
    return pd.concat([absurd, shop.table(instant + crowd)], ignore_index=True)


def assert_same_features(found: OfflineFeatures, expected: OfflineFeatures, at: datetime) -> None:
    ours, theirs = found.user_rows(USERS, at), expected.user_rows(USERS, at)
    assert ours.keys() == theirs.keys() == set(USERS)
    for user in USERS:
        assert_same_row(ours[user], theirs[user], rtol=1e-12)
    pd.testing.assert_frame_equal(found.item_rows(ITEMS, at), expected.item_rows(ITEMS, at), rtol=1e-12)


@FEW
@given(at=CUTOFFS)
def test_features_are_those_of_a_world_that_ended_at_the_label(
    at: datetime, built: Path, tmp_path_factory: pytest.TempPathFactory
):
    """Otherwise the answer is in the question, and the offline figures are a lie."""
    events = shop.interactions()
    before = features_of(events[events["at"] < at], tmp_path_factory.mktemp("before"))
    assert_same_features(OfflineFeatures(built), before, at)


@FEW
@given(at=CUTOFFS)
def test_no_event_at_or_after_the_label_changes_a_row(
    at: datetime, built: Path, tmp_path_factory: pytest.TempPathFactory
):
    """An event at the label's own instant is the label."""
    after = features_of(poisoned(shop.interactions(), at), tmp_path_factory.mktemp("poisoned"))
    assert_same_features(after, OfflineFeatures(built), at)


def test_every_user_asked_for_has_a_row(built: Path):
    """A join that drops users without a past would train on returning users alone."""
    rows = OfflineFeatures(built).user_rows(USERS, shop.OPENED)
    assert_same_row(rows[UserId("ghost")], UserRow.cold())
    assert rows[UserId("silent")].demographics == {"country": "France"}
    assert all(row.values["events"] == 0 for row in rows.values())


def test_a_row_that_is_old_still_holds(built: Path):
    """Nothing expires: a user who was away for ten years has the same history."""
    features = OfflineFeatures(built)
    soon, late = (features.user_rows(USERS, shop.OPENED + timedelta(days=d)) for d in (shop.DAYS + 1, 3650))
    for user in USERS:
        assert_same_row(late[user], soon[user])


@pytest.mark.parametrize("at", [shop.OPENED + timedelta(hours=1), shop.OPENED.replace(tzinfo=None)])
def test_a_moment_within_a_day_is_refused(built: Path, at: datetime):
    """Whether the day's row counts would depend on what happens later that day."""
    with pytest.raises(DataError, match="midnight in UTC"):
        OfflineFeatures(built).user_rows(USERS, at)
