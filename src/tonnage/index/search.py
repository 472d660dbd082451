"""Opening and searching one index variant of a release."""

import json
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.errors import IntegrityError, NotFoundError
from tonnage.index.overlay import Overlay
from tonnage.index.tables import Mapped, Table
from tonnage.index.variants import pages

Mask = NDArray[np.bool_]

DESCRIPTION = "index/index.json"
"""File beside the vectors that says what each variant is made of."""


class Index(Protocol):
    """Item vectors that can be searched. Safe to call from several threads; `put` is for one at a time."""

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
        """The items with the largest cosine to the mean direction of `rows`, best first, those included."""
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
        """Replace one item's vector in this process; every search that starts later sees it."""
        ...


class ScannedIndex:
    """Every vector is scored, so the answer is the exact one at the stored precision."""

    def __init__(self, name: str, table: Table, mapped: Mapped) -> None:
        self.name = name
        self.items = len(table)
        self.dimensions = table.dimensions
        self.resident_bytes = pages(mapped.bytes.nbytes)
        self._table = table
        self._mapped = mapped
        self._overlay = Overlay.empty(table.dimensions)

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the largest inner products; see `Index`."""
        rows = None if allowed is None else np.flatnonzero(allowed).astype(np.int32)
        scores = self._overlay.scores(query, self._table.scores(query, rows), rows)
        return best(rows, scores, k, exclude)

    def similar(
        self, rows: Rows, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the nearest directions; see `Index`."""
        query = direction(self.vectors(rows))
        among = None if allowed is None else np.flatnonzero(allowed).astype(np.int32)
        cosines = self._overlay.cosines(query, self._table.cosines(query, among), among)
        return best(among, cosines, k, exclude)

    def scores_of(self, query: Floats, rows: Rows) -> Floats:
        """Inner products of the query with `rows`; see `Index`."""
        return self._overlay.scores(query, self._table.scores(query, rows), rows)

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows as they are stored; see `Index`."""
        return self._overlay.vectors(self._table.vectors(rows), rows)

    def load(self) -> None:
        """Make the working set resident; see `Index`."""
        self._mapped.load()

    def put(self, row: int, vector: Floats) -> None:
        """Replace one item's vector in this process; see `Index`."""
        self._overlay = self._overlay.put(row, vector, items=self.items)


def direction(vectors: Floats) -> Floats:
    """The mean direction of vectors, float32 [d]."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    mean: Floats = (vectors / np.where(lengths > 0, lengths, 1)).mean(axis=0).astype(np.float32)
    return mean


def best(rows: Rows | None, scores: Floats, k: int, exclude: Rows | None = None) -> tuple[Rows, Floats]:
    """The `k` best of scored rows, best first; of equals, the lowest row first.

    Args:
        rows: of the scores, ascending; all rows if None.
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


def open_index(directory: Path, name: str) -> Index:
    """Open one variant, mapped and not yet loaded.

    Args:
        directory: of the item vectors, `retrieval` in a release.
        name: of the variant.

    Raises:
        NotFoundError: the release was made without it.
        IntegrityError: its files do not hold what they should.
    """
    path = directory / DESCRIPTION
    made = json.loads(path.read_text(encoding="ascii"))["variants"]
    if name not in made:
        raise NotFoundError(f"this release has no index variant {name}", made=", ".join(made))
    what = made[name]
    mapped = Mapped(directory / what["file"])
    stored = np.load(directory / what["file"], mmap_mode="r", allow_pickle=False)
    start = mapped.bytes.nbytes - stored.nbytes
    view = mapped.bytes[start:].view(stored.dtype)
    if view.size != stored.size:
        raise IntegrityError("the file of an index is cut", file=directory / what["file"])
    return ScannedIndex(name, Table(view.reshape(stored.shape), what["scale"]), mapped)
