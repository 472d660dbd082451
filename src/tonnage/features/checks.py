"""What every `Sessions` keeps, ours and a user's own: call each check with a fresh, empty store."""

from collections.abc import Callable, Sequence

from tonnage.domain import ItemId, UserId
from tonnage.features.rows import SessionEvent
from tonnage.features.sessions import RECENT, Sessions

Check = Callable[[Sessions], None]

NIGHT = 1_320_000_000.0
"""Seconds since the epoch."""


def check_unknown_user_has_no_events(sessions: Sessions) -> None:
    """A first visit is not an error."""
    _expect(sessions.read(UserId("ghost")), [])


def check_events_come_back_whole_and_latest_first(sessions: Sessions) -> None:
    """Every field survives, and the order is that of the events' times, not of their arrival."""
    events = [
        _event("b", at=NIGHT + 0.123456, price=0.1, quantity=2.5),
        _event("c", at=NIGHT + 60, item="Ж 85123A", kind="view"),
        _event("a", at=NIGHT),
    ]
    _expect(sessions.append(events), 3)
    _expect(sessions.read(ANNE), [events[1], events[0], events[2]])


def check_the_same_event_counts_once(sessions: Sessions) -> None:
    """A caller that got no answer sends again; the first version stays."""
    first = _event("a", quantity=1)
    _expect(sessions.append([first, first]), 1)
    _expect(sessions.append([_event("a", quantity=9), _event("b")]), 1)
    _expect([event.quantity for event in sessions.read(ANNE) if event.event_id == "a"], [1])


def check_users_are_kept_apart(sessions: Sessions) -> None:
    """One user's events never show in another's, also when a batch mixes them and ids repeat."""
    _expect(sessions.append([_event("a"), _event("a", user=BERT), _event("b")]), 3)
    _expect([event.event_id for event in sessions.read(BERT)], ["a"])
    _expect(len(sessions.read(ANNE)), 2)


def check_only_the_latest_are_kept(sessions: Sessions) -> None:
    """A robot that sends events all night takes no more room than `RECENT` of them."""
    crowd = [_event(f"{number:04}", at=NIGHT + number) for number in range(RECENT + 50)]
    _expect(sessions.append(crowd[50:]), RECENT)
    _expect(sessions.append(crowd[:50]), 0)
    _expect(sessions.read(ANNE), crowd[:49:-1])
    _expect(sessions.append([_event("late", at=NIGHT + 10_000)]), 1)
    _expect(len(sessions.read(ANNE)), RECENT)


def check_a_large_batch_counts_what_it_keeps(sessions: Sessions) -> None:
    """An event that its own batch pushes out again was not kept, so it is not counted."""
    crowd = [_event(f"{number:04}", at=NIGHT + number) for number in range(RECENT + 50)]
    _expect(sessions.append(crowd), RECENT)
    _expect(sessions.append([]), 0)


SESSIONS_CHECKS: Sequence[Check] = (
    check_unknown_user_has_no_events,
    check_events_come_back_whole_and_latest_first,
    check_the_same_event_counts_once,
    check_users_are_kept_apart,
    check_only_the_latest_are_kept,
    check_a_large_batch_counts_what_it_keeps,
)
"""Every check, for a test to run over an adapter."""

ANNE, BERT = UserId("anne"), UserId("bert")


def _event(
    event_id: str,
    *,
    at: float = NIGHT,
    user: UserId = ANNE,
    item: str = "lamp",
    kind: str = "purchase",
    quantity: float = 1.0,
    price: float | None = None,
) -> SessionEvent:
    return SessionEvent(
        event_id=event_id,
        user_id=user,
        item_id=ItemId(item),
        kind=kind,
        at=at,
        quantity=quantity,
        price=price,
    )


def _expect(found: object, promised: object) -> None:
    if found != promised:
        raise AssertionError(f"expected {promised!r}, found {found!r}")
