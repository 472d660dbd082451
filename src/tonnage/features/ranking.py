"""The ranker's features, as pure numpy: training computes its matrix with the functions that serving calls.

Five groups, in the order of the columns: what is known of the item (columns of the item table), of the
user, of the user and the item, what the sources think of the candidate, and crosses of those.
Change a definition, and raise `VERSION`: a service refuses a release whose fingerprint is another.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import SOURCES, Floats, History, Rows
from tonnage.features.rows import DAY_S, UserRow
from tonnage.features.sources import FADE_DAYS, LEAN, MERGE, PROPOSED, USUAL, promise

VERSION = 4
"""Raised whenever a definition on this page changes its meaning."""

HEAT_DAYS = 90.0
"""After this long without another order, `heat` has fallen to 1/e."""

ITEM = (
    "buyers_7",
    "buyers_14",
    "buyers_28",
    "buyers_90",
    "buyers_all",
    "repeat_rate",
    "trend_week",
    "trend_month",
    "log_price",
    "log_units_per_order",
    "age_days",
    "idle_days",
)
"""Of the item: columns of `item_stats`, which defines them."""

USER = (
    "user_orders",
    "user_items",
    "user_basket",
    "user_idle_days",
    "user_age_days",
    "user_spend_per_order",
    "user_variety",
    "user_units_per_event",
    "user_log_price",
    "user_log_price_spread",
    "user_gap_days",
    "user_interval_days",
    "user_recent_events",
)
"""Of the user, NaN where there is no past to tell.

orders, items: log(1 + number of orders, distinct items) · basket: log(1 + events per order) · idle_days,
age_days: since the latest and the first event · spend_per_order: log(1 + spend / orders) · variety: distinct
items per event · units_per_event: log(1 + units / events) · log_price, log_price_spread: mean and standard
deviation of log(price) over events · gap_days: from the order before the latest to the latest ·
interval_days: mean days between orders · recent_events: events, each halved every 30 days before the latest.
"""

USER_ITEM = (
    "orders",
    "idle_days",
    "age_days",
    "units_per_order",
    "interval_days",
    "overdue",
    "days_before_last",
    "heat",
    "rate",
    "newer_items",
    "category_share",
)
"""Of the user and the item, NaN for an item the user never had; category_share also without a category.

orders: that held the item · idle_days, age_days: since the latest and the first of them · units_per_order:
log(1 + units / orders) · interval_days: mean days between them · overdue: idle_days / interval_days ·
days_before_last: from the latest of them to the user's latest event · heat: orders * exp(-idle / 90 days) ·
rate: orders per 30 days since the first · newer_items: share of the history that was had later ·
category_share: share of the user's orders of items that were of the same category.
"""

CROSS = ("promise", "order_share", "price_gap", "units_gap", "idle_intervals")
"""Of several groups.

promise: what the sources together think, as `sources.merge` orders · order_share: of the user's orders, those
with the item · price_gap: log price of the item above the user's mean · units_gap: log units per order of the
item above the user's · idle_intervals: days since the item, in intervals between the user's orders.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureNames:
    """The ranker's columns by group, in the order of its matrix."""

    item: tuple[str, ...]
    user: tuple[str, ...]
    user_item: tuple[str, ...]
    sources: tuple[str, ...]
    cross: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every column, in order."""
        return (*self.item, *self.user, *self.user_item, *self.sources, *self.cross)

    def fingerprint(self) -> str:
        """Digest of names, their order, the sources' constants and the definitions' version, hex."""
        proposing = f"sources {PROPOSED} {FADE_DAYS} {LEAN} {USUAL} {sorted(MERGE.items())}"
        told = [f"version {VERSION}", proposing, *self.all]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


def names(vocabularies: Mapping[str, Sequence[str]]) -> FeatureNames:
    """The columns for these demographics.

    Args:
        vocabularies: known values of each demographic column; each value becomes a feature.
    """
    told = [f"user_{column}={value}" for column, values in vocabularies.items() for value in values]
    return FeatureNames(
        item=tuple(f"item_{name}" for name in ITEM),
        user=(*USER, *told),
        user_item=tuple(f"had_{name}" for name in USER_ITEM),
        sources=tuple(f"from_{name}" for name in SOURCES),
        cross=CROSS,
    )


def user_features(user: UserRow, *, vocabularies: Mapping[str, Sequence[str]], at: float) -> Floats:
    """The group `user`, float32 [n_user].

    Args:
        user: the row as of `at`.
        vocabularies: as for `names`.
        at: seconds since the epoch in UTC.
    """
    value, items = user.values, float(len(user.history))
    orders, events, priced = value["orders"], value["events"], value["priced_events"]
    if events > 0:
        mean = value["log_price_sum"] / priced if priced else np.nan
        variance = value["log_price_square_sum"] / priced - mean**2 if priced else np.nan
        known = [
            np.log1p(orders),
            np.log1p(items),
            np.log1p(events / orders),
            (at - value["last_at"]) / DAY_S,
            (at - value["first_at"]) / DAY_S,
            np.log1p(value["spend"] / orders),
            items / events,
            np.log1p(value["units"] / events),
            mean,
            np.sqrt(max(variance, 0.0)) if priced else np.nan,
            (value["last_at"] - value["previous_at"]) / DAY_S,
            (value["last_at"] - value["first_at"]) / DAY_S / (orders - 1) if orders > 1 else np.nan,
            value["recent_events"],
        ]
    else:
        known = [0.0, 0.0, *[np.nan] * (len(USER) - 2)]
    told = [
        float(user.demographics.get(column) == each)
        for column, values in vocabularies.items()
        for each in values
    ]
    return np.array([*known, *told], np.float32)


def user_item_features(
    history_rows: Rows, history: History, rows: Rows, categories: Rows, *, at: float
) -> Floats:
    """The group `user_item`, float32 [n, n_user_item].

    Args:
        history_rows: row of each item of the history, [h]; -1 for items that the release lacks.
        history: of the user, most recent last.
        rows: candidates, [n].
        categories: code of the category of every item, [n_items]; -1 for none.
        at: seconds since the epoch in UTC.
    """
    features = np.full((len(rows), len(USER_ITEM)), np.nan, np.float32)
    known = history_rows >= 0
    if not known.any():
        return features
    mine, orders = history_rows[known], history.orders[known]
    order = np.argsort(mine)
    place = np.searchsorted(mine, rows, sorter=order).clip(max=len(mine) - 1)
    position = order[place]
    had = mine[position] == rows
    features[had, :-1] = _past(history, at)[known][position[had]]
    features[:, -1] = _category_share(categories[mine], orders, categories[rows])
    return features


def assemble(*, item: Floats, user: Floats, user_item: Floats, sources: Floats) -> Floats:
    """The ranker's matrix, float32 [n, n_features], in the order of `FeatureNames.all`.

    Args:
        item: group `item` of each candidate, [n, n_item].
        user: group `user`, [n_user].
        user_item: group `user_item`, [n, n_user_item].
        sources: scores of `Candidates`, [n, len(SOURCES)].
    """
    groups = (item, user, user_item, sources)
    matrix = np.empty((len(item), sum(each.shape[-1] for each in groups) + len(CROSS)), np.float32)
    end = 0
    for group in groups:
        start, end = end, end + group.shape[-1]
        matrix[:, start:end] = group
    crosses = matrix[:, end:].T
    crosses[0] = promise(sources)
    crosses[1] = _had(user_item, "orders") / np.maximum(np.expm1(_of(user, "user_orders")), 1.0)
    crosses[2] = _item(item, "log_price") - _of(user, "user_log_price")
    crosses[3] = _item(item, "log_units_per_order") - _of(user, "user_units_per_event")
    crosses[4] = _had(user_item, "idle_days") / (1.0 + _of(user, "user_interval_days"))
    return matrix


def _past(history: History, at: float) -> NDArray[np.float64]:
    """Every user-item feature but the last, of each item of the history, [h, len(USER_ITEM) - 1]."""
    orders = history.orders.astype(np.float64)
    idle, age = (at - history.last_at) / DAY_S, (at - history.first_at) / DAY_S
    again = orders > 1
    interval = np.where(again, (age - idle) / np.where(again, orders - 1, 1.0), np.nan)
    newest = history.last_at.max()
    newer = len(history) - np.searchsorted(np.sort(history.last_at), history.last_at, side="right")
    return np.column_stack(
        [
            orders,
            idle,
            age,
            np.log1p(history.quantities / orders),
            interval,
            # A day at least: two orders around midnight are not an interval of minutes.
            idle / np.maximum(interval, 1.0),
            (newest - history.last_at) / DAY_S,
            orders * np.exp(-idle / HEAT_DAYS),
            orders * 30.0 / np.maximum(age, 7.0),
            newer / len(history),
        ]
    )


def _category_share(mine: Rows, orders: Floats, asked: Rows) -> Floats:
    told = mine >= 0
    of_category = np.bincount(mine[told], weights=orders[told], minlength=int(asked.max(initial=0)) + 1)
    shares = of_category[np.maximum(asked, 0)] / max(float(orders.sum()), 1.0)
    return np.where(asked >= 0, shares, np.nan).astype(np.float32)


def _had(user_item: Floats, name: str) -> Floats:
    return user_item[:, USER_ITEM.index(name)]


def _item(item: Floats, name: str) -> Floats:
    return item[:, ITEM.index(name)]


def _of(user: Floats, name: str) -> np.float32:
    value: np.float32 = user[USER.index(name)]
    return value
