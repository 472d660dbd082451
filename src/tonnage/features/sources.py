"""Where candidates come from, as pure numpy: training proposes with the very functions that serving does.

Every source answers with `Found`: rows and their scores. What they propose is the pool, and `merge` makes it
the candidates of one slate, with the score of every source that knows one, whoever proposed the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import MAX_CANDIDATES, SOURCES, Candidates, Floats, History, Rows
from tonnage.features.rows import DAY_S

Found = tuple[Rows, Floats]
"""Item rows that a source knows, int32 [n], unique, and their scores, float32 [n]."""

Mask = NDArray[np.bool_]
"""One truth per item row: whether it may be proposed."""


class Allowed(Protocol):
    """Which items may be proposed: a `Mask`, or what else answers for rows."""

    def __getitem__(self, rows: Rows, /) -> Mask:
        """Whether each of the rows may be proposed."""
        ...


PROPOSED = 1000
"""How many items one source proposes at most; a user's own repeats all compete."""

FADE_DAYS = 180.0
"""After this long an interaction weighs 1/e."""

MERGE = {"vectors": 0.5, "repeats": 2.0, "co_purchase": 0.4, "trend": 1.0}
"""Weight of each source in the score that decides who becomes a candidate; repeats count as a flag.
Chosen for recall@500 on Online Retail before 2011-11-09. Training learns the trend in these units."""

LEAN = 0.1
"""What the long run gains by each log that a history is shorter than `USUAL`; chosen like `MERGE`."""

USUAL = 30
"""Length of a history that the trend is learned for."""


def interaction_weights(history: History, at: float) -> Floats:
    """How much each item of a history says about its user's taste now, float32 [h].

    Args:
        history: of one user.
        at: seconds since the epoch in UTC.
    """
    return weights_of(history.orders, at - history.last_at)


def weights_of(orders: Floats, age_s: NDArray[np.float64]) -> Floats:
    """Weights of interactions: the root of the number of orders, fading with the age of the latest, float32.

    Args:
        orders: of each user and item, [n].
        age_s: seconds since the latest of them, [n].
    """
    weights: Floats = (np.sqrt(orders) * np.exp(-age_s / (FADE_DAYS * DAY_S))).astype(np.float32)
    return weights


def fold_in(item_vectors: Floats, gram: Floats, rows: Rows, weights: Floats, *, alpha: float) -> Floats:
    """The vector of a user who did this, float32 [d] (Hu, Koren and Volinsky 2008, equation 4).

    Args:
        item_vectors: float32 [n_items, d].
        gram: float32 [d, d], `item_vectors.T @ item_vectors + lambda I`.
        rows: items the user had, [h].
        weights: of each, [h]; its confidence is `1 + alpha * weight`, and that of everything else is one.
        alpha: what a weight of one adds.
    """
    seen = item_vectors[rows].astype(np.float64)
    extra = alpha * weights.astype(np.float64)
    normal = gram + (seen.T * extra) @ seen
    user: Floats = np.linalg.solve(normal, seen.T @ (1.0 + extra)).astype(np.float32)
    return user


def recent_popularity(buyers_7: Floats, buyers_14: Floats, buyers_28: Floats) -> Floats:
    """How much an item is wanted now, float32 [n_items]: the trend for users of whom nothing is known.

    Args:
        buyers_7: distinct buyers in the last 7 days, [n_items]; the others likewise.
        buyers_14: in the last 14 days.
        buyers_28: in the last 28 days.
    """
    scores: Floats = (
        0.3 * np.log1p(buyers_7) + 0.3 * np.log1p(buyers_14) + 0.8 * np.log1p(buyers_28)
    ).astype(np.float32)
    return scores


def popularity(recent: Floats, buyers_all: Floats) -> Floats:
    """How much an item is wanted beyond its long past, float32 [n_items]: the trend for users with a history.

    Where training can learn that trend from the past, it does, and takes this only for its first look.

    Args:
        recent: from `recent_popularity`, [n_items].
        buyers_all: distinct buyers ever, [n_items].
    """
    # The long run counts against an item here, because vectors and co-purchase hold it already.
    scores: Floats = (recent - 0.8 * np.log1p(buyers_all)).astype(np.float32)
    return scores


def long_run(buyers_all: Floats) -> Floats:
    """How wanted an item ever was beside the others, float32 [n_items]; zero for items that nobody had.

    Args:
        buyers_all: distinct buyers ever, [n_items].
    """
    had = buyers_all > 0
    scores = np.log1p(np.where(had, buyers_all, 0.0))
    middle = np.median(scores[had]) if had.any() else 0.0
    return np.where(had, scores - middle, 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Popularity:
    """The trend for one user with a history: the less is known of a taste, the more the long run counts.

    Attributes:
        usual: the score for a history of `USUAL` items, float32 [n_items].
        long_run: from `long_run`, float32 [n_items].
        length: of the history.
    """

    usual: Floats
    long_run: Floats
    length: int

    def __getitem__(self, rows: Rows) -> Floats:
        """Scores of rows, float32 [n]."""
        lean = np.float32(LEAN * np.log(USUAL / (1 + self.length)))
        scores: Floats = self.usual[rows] + lean * self.long_run[rows]
        return scores


def repeats(history_rows: Rows, weights: Floats) -> Found:
    """What the user had before, scored by its weight.

    Args:
        history_rows: row of each item of the history, [h]; -1 for items that the release lacks.
        weights: from `interaction_weights`, [h].
    """
    known = history_rows >= 0
    return history_rows[known], weights[known]


def co_purchase(
    neighbour_rows: Rows,
    neighbour_weights: Floats,
    history_rows: Rows,
    weights: Floats,
) -> Found:
    """All that people had together with the items of a history; it proposes the `best`.

    Args:
        neighbour_rows: int32 [n_items, m]; -1 where an item has fewer than m.
        neighbour_weights: float32 [n_items, m].
        history_rows: as for `repeats`, [h].
        weights: as for `repeats`, [h].
    """
    known = history_rows >= 0
    rows = np.asarray(neighbour_rows[history_rows[known]]).ravel()
    gains = (np.asarray(neighbour_weights[history_rows[known]]) * weights[known, None]).ravel()
    real = rows >= 0
    if not real.all():
        rows, gains = rows[real], gains[real]
    # One place in `rows` stands for all that hold the same item: what `np.unique` finds by sorting all of
    # them, 40,000 for a hundred items of 400 neighbours each, takes five times as long.
    places = np.arange(len(rows))
    place_of = np.empty(len(neighbour_rows), np.intp)
    place_of[rows] = places
    chosen = place_of[rows]
    touched = np.sort(rows[chosen == places])
    sums = np.bincount(chosen, weights=gains, minlength=len(rows))
    return touched, sums[place_of[touched]].astype(np.float32)


def trend(popularity: Floats, *, allowed: Allowed | None = None) -> Found:
    """What sells now; the best `PROPOSED`.

    Args:
        popularity: of every item, float32 [n_items]; from `popularity` for a user with a known history, from
            `recent_popularity` for one without.
        allowed: items that may be proposed; all if None.
    """
    return best((np.arange(len(popularity), dtype=np.int32), popularity), allowed)


def best(found: Found, allowed: Allowed | None = None) -> Found:
    """The `PROPOSED` with the highest scores.

    Args:
        found: of one source.
        allowed: items that may be proposed; all if None.
    """
    rows, scores = found
    if allowed is not None:
        passing = allowed[rows]
        rows, scores = rows[passing], scores[passing]
    if len(rows) > PROPOSED:
        kept = np.argpartition(-scores, PROPOSED - 1)[:PROPOSED]
        rows, scores = rows[kept], scores[kept]
    return rows, scores


def merge(
    found: Sequence[Found],
    *,
    pool: Rows | None = None,
    popularity: Floats | Popularity | None = None,
    limit: int = MAX_CANDIDATES,
) -> Candidates:
    """Join what the sources found into the candidates of one slate, the most promising first.

    Args:
        found: one per source, in the order of `SOURCES`; rows with an empty answer for a source that is
            away. Of a row that comes twice the later score counts.
        pool: rows that any source proposes; sources may know more, and all score the pool. By default
            whatever is found.
        popularity: of every item: then every candidate has the score of the trend, whoever
            proposed it.
        limit: how many candidates at most.

    Returns:
        Scores of vectors and co-purchase are in units of their standard deviation over this pool, since
        their scale differs from user to user; so a score means the same in any selection of the candidates.
    """
    rows = distinct(np.concatenate([each for each, _ in found]) if pool is None else pool)
    scores = np.full((len(rows), len(SOURCES)), np.nan, np.float32)
    # A table, since a thousand binary searches are ten thousand branches that no processor predicts. Rows
    # beyond the pool find place 0 there, which is another's; pages of zeros that no row touches are not made.
    place_of = np.zeros(
        1 + max(int(each.max(initial=-1)) for each in (rows, *(of for of, _ in found))), np.intp
    )
    place_of[rows] = np.arange(len(rows))
    for column, (known, values) in enumerate(found if len(rows) else ()):
        places = place_of[known]
        inside = rows[places] == known
        scores[places[inside], column] = values[inside]
    if popularity is not None:
        scores[:, SOURCES.index("trend")] = popularity[rows]
    for name in ("vectors", "co_purchase"):
        _standardise(scores[:, SOURCES.index(name)])
    order = np.argsort(-promise(scores), kind="stable")[:limit]
    return Candidates(rows=rows[order], scores=scores[order])


def distinct(rows: Rows) -> Rows:
    """The rows, each once, ascending: `np.unique` by a plain sort, which takes a third of its time."""
    ascending = np.sort(rows)
    first = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]


def promise(scores: Floats) -> Floats:
    """What the sources together think of each candidate, float32 [n]; the ranker refines it.

    Args:
        scores: of candidates as `merge` leaves them, float32 [n, len(SOURCES)].
    """
    counted = np.nan_to_num(scores, nan=0.0)
    counted[:, SOURCES.index("repeats")] = ~np.isnan(scores[:, SOURCES.index("repeats")])
    weights = np.array([MERGE[name] for name in SOURCES], np.float32)
    total: Floats = counted @ weights
    return total


def _standardise(column: Floats) -> None:
    """Divide by the standard deviation of what is there, in place."""
    known = column[~np.isnan(column)]
    deviation = float(known.std()) if len(known) else 0.0
    if deviation > 0:
        column /= np.float32(deviation)
