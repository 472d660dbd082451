"""What a shop could do without any learning. A release that does not beat each of these is rejected."""

from collections.abc import Callable, Mapping

import numpy as np

from tonnage.domain import Floats, Rows
from tonnage.features import ranking, sources
from tonnage.features.rows import DAY_S, UserRow
from tonnage.training.moment import Moment

Recommend = Callable[[UserRow, int], Rows]
"""The best rows for a user, best first, at most as many as asked."""

RECENCY_DAYS = 60.0
"""Of two items had equally often, the one had later comes first; the head start fades with this time."""


def baselines(moment: Moment) -> Mapping[str, Recommend]:
    """The baselines as of a moment, by name."""
    ever, lately = _count(moment, "buyers_all"), _count(moment, "buyers_28")

    def popular(_: UserRow, k: int) -> Rows:
        return best(ever, k)

    def recently_popular(_: UserRow, k: int) -> Rows:
        return best(lately, k)

    def repeats(user: UserRow, k: int) -> Rows:
        return best(_with_repeats(moment, user, lately), k)

    return {"popularity": popular, "recent popularity": recently_popular, "own repeats": repeats}


def best(scores: Floats, k: int) -> Rows:
    """Rows of the `k` highest scores, best first, without those at minus infinity."""
    order = np.argsort(-scores, kind="stable")[:k]
    return order[np.isfinite(scores[order])].astype(np.int32)


def _with_repeats(moment: Moment, user: UserRow, lately: Floats) -> Floats:
    """The user's items by how often and how lately they were had, then recent popularity."""
    rows, orders = sources.repeats(moment.catalogue.rows(user.history.items), user.history.orders)
    known = moment.catalogue.rows(user.history.items) >= 0
    idle_days = (moment.at.timestamp() - user.history.last_at[known]) / DAY_S
    scores = lately / (np.nanmax(lately, initial=0.0) + 1.0)
    scores[rows] += 10.0 * (orders + 0.9 * np.exp(-idle_days / RECENCY_DAYS)).astype(np.float32)
    return scores


def _count(moment: Moment, name: str) -> Floats:
    counts = moment.statistics[:, ranking.ITEM.index(name)]
    return np.where(moment.allowed, counts, -np.inf).astype(np.float32)
