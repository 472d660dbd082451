from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories.shop import assert_same_row

from tonnage.domain import ItemId, UserId
from tonnage.features.rows import DAY_S, HALF_LIFE_S, HISTORY_ITEMS, SessionEvent, UserRow, with_session

MONDAY = 15_000.0 * DAY_S


def event(item: str = "lamp", at: float = MONDAY, **other: object) -> SessionEvent:
    return SessionEvent(
        event_id=str(other.pop("event_id", f"{item}@{at}")),
        user_id=UserId("anne"),
        item_id=ItemId(item),
        kind="purchase",
        at=at,
        **other,  # type: ignore[arg-type]
    )


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["lamp", "cup", "bag", "pen"]),
        st.integers(0, 5 * DAY_S).map(lambda second: MONDAY + second),
        quantity=st.sampled_from([1.0, 2.5]),
        price=st.sampled_from([None, 0.0, 1.5, 20.0]),
    ),
    max_size=30,
    unique_by=lambda each: each.at,
)


def test_a_cold_user_has_no_history_and_no_times():
    """Times are unknown, not 1970: a recency of 15,000 days would look like a real one."""
    row = UserRow.cold()
    assert len(row.history) == 0
    assert row.values["events"] == 0
    assert np.isnan(row.last_at)


def test_two_events_of_one_day_are_one_order():
    row = with_session(UserRow.cold(), [event(at=MONDAY + 1), event(at=MONDAY + 2), event(at=MONDAY + DAY_S)])
    assert row.values["orders"] == 2
    assert row.values["events"] == 3
    assert row.history.orders.tolist() == [2]
    assert row.values["previous_at"] == MONDAY + 2


def test_an_event_that_the_row_holds_is_not_counted_again():
    """The store keeps events after the nightly build has folded them in."""
    events = [event("lamp"), event("cup", at=MONDAY + 5)]
    row = with_session(UserRow.cold(), events)
    assert with_session(row, events) is row


def test_the_most_recent_item_is_last_whatever_the_order_of_arrival():
    row = with_session(UserRow.cold(), [event("cup", at=MONDAY + 9), event("lamp", at=MONDAY)])
    assert row.history.items == ["lamp", "cup"]


def test_a_history_forgets_the_oldest_items_first():
    crowd = [event(f"item{number:04}", at=MONDAY + number) for number in range(HISTORY_ITEMS + 3)]
    row = with_session(UserRow.cold(), crowd)
    assert len(row.history) == HISTORY_ITEMS
    assert row.history.items[0] == "item0003"


def test_recent_counts_halve():
    row = with_session(UserRow.cold(), [event(quantity=2, price=3.0), event("cup", at=MONDAY + HALF_LIFE_S)])
    assert row.values["recent_events"] == pytest.approx(1.5)
    assert row.values["recent_spend"] == pytest.approx(3.0)


def test_a_price_of_nothing_is_no_price_level():
    """A free sample has no logarithm."""
    row = with_session(UserRow.cold(), [event(price=0.0), event("cup", price=None)])
    assert row.values["priced_events"] == 0
    assert row.values["log_price_sum"] == 0


@given(events=EVENTS, cut=st.integers(0, 30))
def test_folding_in_two_steps_is_folding_at_once(events: list[SessionEvent], cut: int):
    """A row must not depend on how often the events were looked at."""
    ordered = sorted(events, key=lambda each: each.at)
    in_steps = with_session(with_session(UserRow.cold(), ordered[:cut]), ordered[cut:])
    assert_same_row(in_steps, with_session(UserRow.cold(), events), rtol=1e-9)


@given(events=EVENTS)
@settings(max_examples=30)
def test_a_history_is_sorted_by_its_latest_times(events: list[SessionEvent]):
    history = with_session(UserRow.cold(), events).history
    keys = list(zip(history.last_at.tolist(), history.items, strict=True))
    assert all(earlier < later for earlier, later in pairwise(keys))
    assert (history.first_at <= history.last_at).all()


def test_features_without_value_make_the_cold_row():
    """A store answers None for each feature of a user it does not have."""
    row = UserRow.from_features({"orders": None, "items": None, "demographics": None})
    assert_same_row(row, UserRow.cold())
