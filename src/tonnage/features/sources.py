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


Places = NDArray[np.intp]
"""Item rows in the type that numpy indexes by."""

SPARSE = 16
"""Tables of all items cost more than they save with fewer rows to count than one in so many items."""

PROPOSED = 1000
"""How many items one source proposes at most; a user's own repeats all compete."""

FADE_DAYS = 180.0
"""After this long an interaction weighs 1/e."""

MERGE = {"vectors": 0.5, "repeats": 2.0, "co_purchase": 0.4, "trend": 1.0}
"""Weight of each source in the score that decides who becomes a candidate; repeats count as a flag.
Chosen for recall@500 on Online Retail before 2011-11-09. Training learns the trend in these units."""

_REPEATS = SOURCES.index("repeats")
_WEIGHTS = np.array([MERGE[name] for name in SOURCES], np.float32)

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
    own = history_rows[known]
    rows = neighbour_rows.take(own, axis=0).ravel()
    gains = (neighbour_weights.take(own, axis=0) * weights[known, None]).ravel()
    real = rows >= 0
    if not real.all():
        rows, gains = rows[real], gains[real]
    summed = _summed_sparse if SPARSE * len(rows) < len(neighbour_rows) else _summed_dense
    return summed(rows.astype(np.intp), gains, len(neighbour_rows))


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
    # One contiguous row for each source. A table says where in it an item stands, since a thousand binary
    # searches are ten thousand branches that no processor predicts; what is not of the pool goes to place 0,
    # which is nobody's. Its numbers are as short as can be: a million of them are cleared for each slate.
    columns = np.full((len(SOURCES), 1 + len(rows)), np.nan, np.float32)
    place_of = np.zeros(
        1 + max(int(each.max(initial=-1)) for each in (rows, *(of for of, _ in found))),
        np.min_scalar_type(len(rows)),
    )
    place_of[rows] = np.arange(1, 1 + len(rows))
    for name, column, (known, values) in zip(SOURCES, columns, found, strict=True):
        if name == "trend" and popularity is not None:
            column[1:] = popularity[rows]
        else:
            column[place_of[known]] = values
        if name in ("vectors", "co_purchase"):
            _standardise(column[1:])
    scores = np.ascontiguousarray(columns[:, 1:].T)
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
    absent = np.isnan(scores)
    counted = np.where(absent, np.float32(0), scores)
    counted[:, _REPEATS] = ~absent[:, _REPEATS]
    total: Floats = counted @ _WEIGHTS
    return total


def _summed_dense(rows: Places, gains: Floats, items: int) -> Found:
    """The distinct rows, ascending, and the sum of each one's gains: by tables of all items."""
    sums = np.bincount(rows, weights=gains, minlength=items)
    met = np.zeros(items, np.bool_)
    met[rows] = True
    distinct = np.flatnonzero(met)
    return distinct.astype(np.int32), sums[distinct].astype(np.float32)


def _summed_sparse(rows: Places, gains: Floats, items: int) -> Found:
    """The same where rows are few among the items: whole tables would be cleared and read for nothing."""
    # One place in `rows` stands for all that hold the same item. `np.unique` finds it by sorting all of
    # them, which takes five times as long; and of the table only the pages that a row touches are made.
    places = np.arange(len(rows))
    place_of = np.empty(items, np.intp)
    place_of[rows] = places
    chosen = place_of[rows]
    distinct = np.sort(rows[chosen == places])
    sums = np.bincount(chosen, weights=gains, minlength=len(rows))
    return distinct.astype(np.int32), sums[place_of[distinct]].astype(np.float32)


def _standardise(column: Floats) -> None:
    """Divide by the standard deviation of what is there, in place."""
    known = column[~np.isnan(column)]
    deviation = float(known.std()) if len(known) else 0.0
    if deviation > 0:
        column /= np.float32(deviation)
