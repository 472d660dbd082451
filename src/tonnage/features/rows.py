"""What is known of one user, and how the events of the last minutes are folded into it.

`history.py` builds the same row from a table, for all users; both follow the definitions of this page.
An order is a UTC day on which the user did something: it needs no basket id, and folding one event at a
time gives the number that a query over the whole table gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tonnage.domain import History, ItemId, UserId

HISTORY_ITEMS = 500
"""How many items a history keeps: the most recent ones."""

DAY_S = 86_400
"""Seconds in a UTC day."""

HALF_LIFE_S = 30 * DAY_S
"""After this long an event counts half in the `recent_` values."""

VALUES: Mapping[str, float] = MappingProxyType(
    {
        "orders": 0.0,
        "events": 0.0,
        "units": 0.0,
        "spend": 0.0,
        "recent_events": 0.0,
        "recent_spend": 0.0,
        "priced_events": 0.0,
        "log_price_sum": 0.0,
        "log_price_square_sum": 0.0,
        "first_at": np.nan,
        "previous_at": np.nan,
        "last_at": np.nan,
    }
)
"""Every user value, with what a user without a past has.

orders: days with an event · events, units (sum of quantities), spend (quantity times price, where there is
one) · recent_events, recent_spend: the same, each event halved every `HALF_LIFE_S` before `last_at` ·
priced_events, log_price_sum, log_price_square_sum: moments of log(price) of the events with a price above 0 ·
first_at, last_at: time of the first and latest event · previous_at: of the latest event before the last day.
Times are seconds since the epoch in UTC.
"""


HISTORY_COLUMNS = ("items", "item_orders", "item_quantities", "item_first_at", "item_last_at")
"""The feature store's columns of a `History`, arrays of one entry per item, in its attributes' order."""

PROFILE_COLUMNS = ("demographics", "demographic_values")
"""The feature store's columns of the demographics: arrays of names and of their values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """One interaction that the feature tables do not hold yet.

    Attributes:
        event_id: unique; the same id twice is the same event.
        at: seconds since the epoch in UTC.
        quantity: units; 1 for events that have none.
        price: of one unit; None where the caller does not know it.
    """

    event_id: str
    user_id: UserId
    item_id: ItemId
    kind: str
    at: float
    quantity: float = 1.0
    price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """One user at one moment: history, aggregates (the names of `VALUES`) and demographics."""

    history: History
    values: Mapping[str, float]
    demographics: Mapping[str, str]

    @classmethod
    def cold(cls) -> "UserRow":
        """The row of a user nobody has seen."""
        return cls(history=History(), values=dict(VALUES), demographics={})

    @classmethod
    def from_features(cls, features: Mapping[str, Any]) -> "UserRow":
        """Make a row of what a feature store answers; None, or no such name, is a feature without value."""

        def column(name: str) -> Sequence[Any]:
            found: Sequence[Any] | None = features.get(name)
            return () if found is None else found

        values = {name: features.get(name) for name in VALUES}
        items, orders, quantities, first_at, last_at = map(column, HISTORY_COLUMNS)
        return cls(
            history=History(
                items=list(items),
                orders=np.asarray(orders, np.float32),
                quantities=np.asarray(quantities, np.float32),
                first_at=np.asarray(first_at, np.float64),
                last_at=np.asarray(last_at, np.float64),
            ),
            values={name: VALUES[name] if value is None else float(value) for name, value in values.items()},
            demographics=dict(zip(*map(column, PROFILE_COLUMNS), strict=True)),
        )

    @property
    def last_at(self) -> float:
        """Time of the latest event folded in, seconds since the epoch in UTC; NaN if there is none."""
        return self.values["last_at"]


def with_session(row: UserRow, events: Sequence[SessionEvent]) -> UserRow:
    """The row as the tables would give it, had they held these events of the same user too.

    Events at or before the row's last event are in it already and are left out. Exact while the user has at
    most `HISTORY_ITEMS` items; an older item that comes back counts as new.
    """
    news = sorted(
        (event for event in events if not event.at <= row.last_at),
        key=lambda event: (event.at, event.event_id),
    )
    if not news:
        return row
    return UserRow(
        history=_fold_history(row.history, news),
        values=_fold_values(row.values, news),
        demographics=row.demographics,
    )


def _fold_history(history: History, news: Sequence[SessionEvent]) -> History:
    known = zip(
        history.items,
        np.column_stack([history.orders, history.quantities, history.first_at, history.last_at]).tolist(),
        strict=True,
    )
    entries: dict[ItemId, list[float]] = dict(known)
    for event in news:
        entry = entries.setdefault(event.item_id, [0.0, 0.0, event.at, -np.inf])
        entry[0] += _day(event.at) != _day(entry[3])
        entry[1] += event.quantity
        entry[3] = event.at
    kept = sorted(entries.items(), key=lambda entry: (entry[1][3], entry[0]))[-HISTORY_ITEMS:]
    columns = np.array([numbers for _, numbers in kept], np.float64).T
    return History(
        items=[item for item, _ in kept],
        orders=columns[0].astype(np.float32),
        quantities=columns[1].astype(np.float32),
        first_at=columns[2],
        last_at=columns[3],
    )


def _fold_values(values: Mapping[str, float], news: Sequence[SessionEvent]) -> dict[str, float]:
    folded = dict(values)
    for event in news:
        known = folded["events"] > 0
        if not known:
            folded["first_at"] = event.at
        if not known or _day(event.at) != _day(folded["last_at"]):
            folded["orders"] += 1
            folded["previous_at"] = folded["last_at"]
        fade = 2.0 ** ((folded["last_at"] - event.at) / HALF_LIFE_S) if known else 0.0
        spend = event.quantity * (event.price or 0.0)
        folded["recent_events"] = folded["recent_events"] * fade + 1
        folded["recent_spend"] = folded["recent_spend"] * fade + spend
        folded["events"] += 1
        folded["units"] += event.quantity
        folded["spend"] += spend
        if event.price is not None and event.price > 0:
            log_price = float(np.log(event.price))
            folded["priced_events"] += 1
            folded["log_price_sum"] += log_price
            folded["log_price_square_sum"] += log_price**2
        folded["last_at"] = event.at
    return folded


def _day(at: float) -> float:
    return at // DAY_S
