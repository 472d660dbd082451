"""What a search answers, whichever way the vectors are stored."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.index.overlay import Overlay

Mask = NDArray[np.bool_]

SCANNED_PER_VISIT = 16
"""Rows that are scanned in the time in which a graph keeps one more candidate, about."""

BY_DIRECTION = 1024
"""Candidates that a graph keeps at least when it is walked by direction, for which nothing is tuned: of the
exact top 100 of 1,000,000 simulated items about nine in ten are found, and twice as many find little more."""

SLACK = 1.5
"""How many more a graph is asked for than a filter passes on average."""

SPARE = 16
"""Candidates beyond those asked for, since a graph may order the last ones wrongly."""


class Index(Protocol):
    """Item vectors that can be searched. Safe to call from several threads."""

    name: str
    items: int
    dimensions: int
    resident_bytes: int

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the largest inner products, best first.

        Args:
            query: float32 [d].
            k: how many at most.
            allowed: items that may come, bool [items]; all if None.
            exclude: a few rows that must not come; cheaper than a mask.

        Returns:
            int32 rows and their inner products in units of the float32 vectors, float32.
        """
        ...

    def similar(
        self, rows: Rows, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the largest cosine to the mean direction of `rows`, best first, those included.

        A graph's links are walked by direction then; by inner product they lead to the long vectors first.
        """
        ...

    def scores_of(self, query: Floats, rows: Rows) -> Floats:
        """Inner products of the query with `rows`, float32 [len(rows)]."""
        ...

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows as they are stored, float32 [len(rows), d]."""
        ...

    def load(self) -> None:
        """Make the working set resident, so that no request waits for a disk."""
        ...

    def put(self, row: int, vector: Floats) -> None:
        """Replace one item's vector in this process; every search that starts later sees it.

        The files stay as they are, so other processes and the next start do not know of it.

        Raises:
            InputError: the vector has another width, a component that is not finite, or there is no such row.
        """
        ...


Scores = Callable[[Rows | None], Floats]
"""Inner products of one query with rows, or with all."""


def fetch_of(k: int, *, items: int, allowed: int, spare: int) -> int:
    """How many a graph is asked for, so that enough of them pass a filter.

    Args:
        k: how many must be left.
        items: in the graph.
        allowed: of them, at least one.
        spare: found ones that are dropped for another reason.
    """
    if allowed == items:
        return min(items, k + spare + SPARE)
    return min(items, int(SLACK * (k + spare) * items / allowed) + SPARE)


def expansion_of(tuned: int, *, fetch: int, items: int, allowed: int) -> int:
    """How many candidates a graph keeps while it searches.

    Args:
        tuned: for a search without a filter.
        fetch: how many it is asked for.
        items: in the graph.
        allowed: of them, at least one; where few may come, those sought lie that much deeper.
    """
    return max(fetch, min(items, tuned * items // allowed))


def scan_is_cheaper(allowed: int, expansion: int) -> bool:
    """Whether scoring every allowed row takes less time than a walk through a graph."""
    return allowed <= SCANNED_PER_VISIT * expansion


def direction(vectors: Floats) -> Floats:
    """The mean direction of vectors, float32 [d], of length one unless they cancel out."""
    mean: Floats = directions(vectors).mean(axis=0).astype(np.float32)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length > 0 else mean


def directions(vectors: Floats) -> Floats:
    """Vectors at length one, float32 [n, d]; a null vector stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def best(rows: Rows | None, scores: Floats, k: int, exclude: Rows | None = None) -> tuple[Rows, Floats]:
    """The `k` best of scored rows, best first; of equals, the lowest row first.

    Args:
        rows: of the scores; all rows if None.
        scores: float32 [n].
        k: how many at most.
        exclude: rows that must not come.
    """
    spare = 0 if exclude is None else len(exclude)
    kept = min(k + spare, len(scores))
    if k <= 0 or kept == 0:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    top = np.argpartition(scores, -kept)[-kept:] if kept < len(scores) else np.arange(len(scores))
    found = top.astype(np.int32) if rows is None else rows[top]
    if exclude is not None and len(exclude):
        passing = ~np.isin(found, exclude)
        top, found = top[passing], found[passing]
    order = np.lexsort((found, -scores[top]))[:k]
    return found[order], scores[top[order]]


def merged(rows: Rows, overlay: Overlay, allowed: Mask | None) -> Rows:
    """Candidates without those whose vector was replaced, and all of the replaced that may come."""
    if not len(overlay.rows):
        return rows
    replaced = overlay.rows if allowed is None else overlay.rows[allowed[overlay.rows]]
    return np.concatenate([rows[~np.isin(rows, overlay.rows)], replaced])
