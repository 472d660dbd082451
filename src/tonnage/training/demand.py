"""What is known of every item that may tell how wanted it will be: the columns that the trend learns from."""

from datetime import datetime

import numpy as np

from tonnage.domain import Floats
from tonnage.features import ranking
from tonnage.features.rows import DAY_S
from tonnage.training.co_purchase import Neighbours
from tonnage.training.events import Events

WINDOWS = (56, 180)
"""Days over which buyers are counted here, beside those of `ranking.ITEM`."""

LOGARITHMIC = tuple(name for name in ranking.ITEM if name.startswith("buyers_") or name.endswith("_days"))
LINEAR = ("repeat_rate", "log_price", "log_units_per_order")
"""The columns of `ranking.ITEM` that count, as their log(1 + x) and as they are."""

COLUMNS = (*LOGARITHMIC, *(f"buyers_{days}" for days in WINDOWS), *LINEAR, "neighbours_trend")
"""Every column. neighbours_trend: mean `trend_month` of the item's neighbours, by their weights; a fashion
shows there before it shows in the few buyers of one item."""


def columns(until: Events, statistics: Floats, neighbours: Neighbours, *, at: datetime) -> Floats:
    """The columns of every item, float64 [n_items, len(COLUMNS)]; NaN where something is not known.

    Args:
        until: events strictly before `at`.
        statistics: columns `ranking.ITEM` of every item, [n_items, n_item].
        neighbours: of every item.
        at: a midnight in UTC.
    """

    def some(names: tuple[str, ...]) -> Floats:
        return statistics[:, [ranking.ITEM.index(name) for name in names]]

    counted = [some(LOGARITHMIC), *(_buyers(until, days, at)[:, None] for days in WINDOWS)]
    around = _around(some(("trend_month",))[:, 0], neighbours)
    return np.hstack([np.log1p(np.hstack(counted)), some(LINEAR), around[:, None]]).astype(np.float64)


def _buyers(until: Events, days: int, at: datetime) -> Floats:
    """Distinct buyers of each item in the last days."""
    recent = until.times >= at.timestamp() - days * DAY_S
    items = len(until.items)
    pairs = np.unique(until.user[recent].astype(np.int64) * items + until.item[recent])
    return np.bincount(pairs % items, minlength=items).astype(np.float32)


def _around(values: Floats, neighbours: Neighbours) -> Floats:
    """Mean value of each item's neighbours by their weights, NaN for an item of which none is known."""
    rows, weights = neighbours
    theirs = values[rows]
    counts = np.where((rows >= 0) & ~np.isnan(theirs), weights, 0.0)
    total = counts.sum(axis=1)
    sums = np.einsum("im,im->i", counts, np.nan_to_num(theirs))
    return np.where(total > 0, sums / np.where(total > 0, total, 1.0), np.nan).astype(np.float32)
