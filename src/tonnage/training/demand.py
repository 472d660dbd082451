"""What is known of every item that may tell how wanted it will be: the columns that the trend learns from."""

from datetime import datetime

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender
from sklearn.preprocessing import normalize

from tonnage.domain import Floats
from tonnage.features import ranking
from tonnage.features.rows import DAY_S
from tonnage.training.events import Events

WINDOWS = (56, 180)
"""Days over which buyers are counted here, beside those of `ranking.ITEM`."""

LOGARITHMIC = tuple(name for name in ranking.ITEM if name.startswith("buyers_") or name.endswith("_days"))
LINEAR = ("repeat_rate", "log_price", "log_units_per_order")
"""The columns of `ranking.ITEM` that count, as their log(1 + x) and as they are."""

COMPANIONS = 50
"""How many items tell of the fashion that an item is part of."""

COLUMNS = (*LOGARITHMIC, *(f"buyers_{days}" for days in WINDOWS), *LINEAR, "companions_trend")
"""Every column.

companions_trend: mean `trend_month` of the items that most had the same buyers, by the cosine of who had them
within the longest window. A fashion shows there before it shows in the few buyers of one item.
"""


def columns(until: Events, statistics: Floats, *, at: datetime, threads: int | None = None) -> Floats:
    """The columns of every item, float64 [n_items, len(COLUMNS)]; NaN where something is not known.

    Args:
        until: events strictly before `at`.
        statistics: columns `ranking.ITEM` of every item, [n_items, n_item].
        at: a midnight in UTC.
        threads: at most; every core if None.
    """

    def some(*names: str) -> Floats:
        return statistics[:, [ranking.ITEM.index(name) for name in names]]

    had = [_had(until, days, at) for days in WINDOWS]
    counted = [some(*LOGARITHMIC), *(_buyers(each)[:, None] for each in had)]
    around = _around(some("trend_month")[:, 0], _companions(had[-1], threads))
    return np.hstack([np.log1p(np.hstack(counted)), some(*LINEAR), around[:, None]]).astype(np.float64)


def _had(until: Events, days: int, at: datetime) -> sp.csr_matrix:
    """Who had what in the last days, ones, float32 [users, items]."""
    shape = (len(until.users), len(until.items))
    recent = until.times >= at.timestamp() - days * DAY_S
    pairs = np.unique(until.user[recent].astype(np.int64) * shape[1] + until.item[recent])
    ones = np.ones(len(pairs), np.float32)
    return sp.csr_matrix((ones, (pairs // shape[1], pairs % shape[1])), shape=shape)


def _buyers(had: sp.csr_matrix) -> Floats:
    return np.bincount(had.indices, minlength=had.shape[1]).astype(np.float32)


def _companions(had: sp.csr_matrix, threads: int | None) -> sp.csr_matrix:
    """Cosine of each item with those that most had the same buyers, [items, items]."""
    # One more than asked: an item is its own nearest neighbour.
    model = ItemItemRecommender(K=COMPANIONS + 1, num_threads=threads or 0)
    model.fit(sp.csr_matrix(normalize(had.astype(np.float64), axis=0)), show_progress=False)
    similar = sp.csr_matrix(model.similarity)
    return similar - sp.diags(similar.diagonal())


def _around(values: Floats, weights: sp.csr_matrix) -> Floats:
    """Mean value of the others by their weights, NaN for an item of whose others none is known."""
    known = ~np.isnan(values)
    total = np.asarray(weights @ known.astype(np.float64))
    sums = np.asarray(weights @ np.where(known, values, 0.0))
    some = total > 1e-6
    return np.where(some, sums / np.where(some, total, 1.0), np.nan).astype(np.float32)
