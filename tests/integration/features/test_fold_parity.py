"""What serving folds in minute by minute is what the tables would have given."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.factories import shop
from tests.factories.shop import Event, assert_same_row

from tonnage.domain import ItemId, UserId
from tonnage.features.history import user_history
from tonnage.features.rows import HISTORY_ITEMS, SessionEvent, UserRow, with_session

DAY_US = 86_400_000_000
MOMENTS = st.one_of(
    st.integers(0, 40 * DAY_US),
    # On both sides of midnight, and whole seconds, where rounding would show.
    st.builds(
        lambda day, side: day * DAY_US + side, st.integers(1, 40), st.sampled_from([-1, 0, 1, 1_000_000])
    ),
)
EVENTS = st.lists(
    st.tuples(
        MOMENTS,
        st.sampled_from(["lamp", "cup", "bag", "pen", "Ü-20", "20"]),
        st.sampled_from([1.0, 2.0, 0.1, 1000.0]),
        st.sampled_from([None, 0.0, 0.07, 2.5, 999.0]),
    ),
    min_size=1,
    max_size=40,
)


def built_row(events: Sequence[Event]) -> UserRow:
    """The latest row of the only user in a table."""
    with TemporaryDirectory() as directory:
        data = shop.write(shop.table(events), Path(directory) / "data")
        rows = user_history(ibis.duckdb.connect().read_parquet(data / "interactions.parquet")).to_pyarrow()
    latest: Mapping[str, Any] = max(rows.to_pylist(), key=lambda row: row["event_timestamp"])
    assert latest["event_timestamp"].timestamp() == latest["last_at"]
    return UserRow.from_features(latest)


def as_session(event: Event) -> SessionEvent:
    event_id, user, item, kind, at, quantity, price = event
    return SessionEvent(
        event_id=event_id,
        user_id=UserId(user),
        item_id=ItemId(item),
        kind=kind,
        at=at.timestamp(),
        quantity=quantity,
        price=price,
    )


@settings(
    max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)
@given(drawn=EVENTS, cut=st.integers(0, 40))
def test_folding_a_session_gives_the_row_of_the_next_build(drawn: list[tuple[Any, ...]], cut: int):
    """Two definitions of one feature drift apart unless something holds them together."""
    drawn = sorted(drawn, key=lambda each: each[0])
    events: list[Event] = [
        (f"e{number}", "anne", item, "purchase", shop.OPENED + timedelta(microseconds=us), quantity, price)
        for number, (us, item, quantity, price) in enumerate(drawn)
    ]
    # A build takes all events up to a moment, so those of one instant are on one side.
    cutoff = events[min(cut, len(events) - 1)][4]
    before = [event for event in events if event[4] < cutoff]
    row = built_row(before) if before else UserRow.cold()
    assert_same_row(with_session(row, [as_session(event) for event in events]), built_row(events), rtol=1e-6)


def test_a_history_is_cut_alike():
    """A robot's history must not differ by where it was computed."""
    start = datetime(2011, 5, 1, tzinfo=UTC)
    events: list[Event] = [
        (f"e{n}", "robot", f"item{n:04}", "view", start + timedelta(seconds=n), 1.0, None)
        for n in range(HISTORY_ITEMS + 20)
    ]
    row = with_session(built_row(events[:300]), [as_session(event) for event in events[300:]])
    assert len(row.history) == HISTORY_ITEMS
    assert_same_row(row, built_row(events), rtol=1e-6)


def test_times_are_the_same_float_on_both_sides(built: Path):
    """One unit in the last place would fold an event in twice."""
    rows = pd.read_parquet(built / "rows" / "user_history.parquet")
    assert [each.timestamp() for each in rows["event_timestamp"]] == rows["last_at"].tolist()
