"""What users did since the feature rows were built: a short memory beside the online store."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from tonnage.domain import ItemId, UserId
from tonnage.features.address import TIMEOUT_S, is_redis
from tonnage.features.rows import SessionEvent

RECENT = 200
"""Events kept of one user: the latest by their time."""

TTL_S = 7 * 86_400
"""How long after a user's last event was stored the user's events are forgotten."""


class Sessions(Protocol):
    """Recent events of each user."""

    def append(self, events: Sequence[SessionEvent]) -> int:
        """Keep events, all or, on an error, none; one whose id the user has already is left as it is.

        Returns:
            How many were new. An event older than `RECENT` others of its user is not kept, nor counted.

        Raises:
            DependencyError: the store failed or did not answer in time; sending the events again is safe.
        """
        ...

    def read(self, user: UserId) -> list[SessionEvent]:
        """The user's events, the latest first.

        Raises:
            DependencyError: the store failed or did not answer in time.
        """
        ...


def open_sessions(url: str, *, timeout_s: float = TIMEOUT_S) -> Sessions:
    """The sessions that live at the URL of the online store, see `online.open_online`.

    Raises:
        ConfigError: the URL is neither redis:// nor sqlite:///.
    """
    if is_redis(url):
        from tonnage.features.redis_sessions import RedisSessions

        return RedisSessions(url, timeout_s=timeout_s)
    from tonnage.features.sqlite_sessions import SqliteSessions

    return SqliteSessions(url)


def by_user(events: Sequence[SessionEvent]) -> Iterable[tuple[UserId, list[SessionEvent]]]:
    """The events of each user, in the order given."""
    user = attrgetter("user_id")
    for user_id, theirs in groupby(sorted(events, key=user), key=user):
        yield UserId(user_id), list(theirs)


def encode(event: SessionEvent) -> str:
    """What a store keeps of an event beside its user and its id."""
    return json.dumps([event.item_id, event.kind, event.at, event.quantity, event.price])


def decode(user: UserId, event_id: str, payload: str | bytes) -> SessionEvent:
    """The event that `encode` was given."""
    item_id, kind, at, quantity, price = json.loads(payload)
    return SessionEvent(
        event_id=event_id,
        user_id=user,
        item_id=ItemId(item_id),
        kind=kind,
        at=at,
        quantity=quantity,
        price=price,
    )


def latest_first(events: Iterable[SessionEvent]) -> list[SessionEvent]:
    """Sorted as `Sessions.read` answers; of two at the same time, the greater id first."""
    return sorted(events, key=lambda event: (event.at, event.event_id), reverse=True)
