"""Vectors that were replaced since the index was built: few, in memory, and scored exactly."""

from dataclasses import dataclass

import numpy as np

from tonnage.domain import Floats, Rows
from tonnage.errors import InputError


@dataclass(frozen=True, slots=True)
class Overlay:
    """Replaced vectors; never changed, so that a search that runs keeps the one that it began with.

    Attributes:
        rows: int32 [m], ascending.
        vectors_: float32 [m, d].
    """

    rows: Rows
    vectors_: Floats

    @classmethod
    def empty(cls, dimensions: int) -> "Overlay":
        """Nothing was replaced."""
        return cls(np.empty(0, np.int32), np.empty((0, dimensions), np.float32))

    def put(self, row: int, vector: Floats, *, items: int) -> "Overlay":
        """The overlay with one more vector.

        Raises:
            InputError: the vector has another width, or a component that is not finite; or no such row.
        """
        fresh = np.asarray(vector, np.float32)
        if fresh.shape != self.vectors_.shape[1:] or not np.isfinite(fresh).all():
            raise InputError(
                "an item's vector must be finite and as wide as the others",
                expected=self.vectors_.shape[1:],
                actual=fresh.shape,
            )
        if not 0 <= row < items:
            raise InputError("there is no such item row", row=row)
        kept = self.rows != row
        at = int(np.searchsorted(self.rows[kept], row))
        return Overlay(
            np.insert(self.rows[kept], at, row).astype(np.int32),
            np.insert(self.vectors_[kept], at, fresh, axis=0),
        )

    def vectors(self, stored: Floats, rows: Rows) -> Floats:
        """The vectors of rows, with the replaced ones in place; `stored` is changed."""
        where, which = self._replaced(rows)
        stored[where] = self.vectors_[which]
        return stored

    def scores(self, query: Floats, stored: Floats, rows: Rows | None) -> Floats:
        """The inner products of rows, or of all, with those of the replaced in place; `stored` is changed."""
        if len(self.rows):
            where, which = self._replaced(rows)
            stored[where] = self.vectors_[which] @ query
        return stored

    def cosines(self, query: Floats, stored: Floats, rows: Rows | None) -> Floats:
        """The cosines of rows, or of all, with those of the replaced in place; `stored` is changed."""
        where, which = self._replaced(rows)
        vectors = self.vectors_[which]
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
        stored[where] = (vectors @ query) / np.where(lengths > 0, lengths, 1)
        return stored

    def _replaced(self, rows: Rows | None) -> tuple[Rows, Rows]:
        """Positions among `rows` that are replaced, and which entry replaces each."""
        every = np.arange(len(self.rows), dtype=np.int32)
        if rows is None or not len(self.rows):
            return self.rows, every
        which = np.searchsorted(self.rows, rows)
        where = np.flatnonzero(self.rows[np.minimum(which, len(self.rows) - 1)] == rows)
        return where.astype(np.int32), which[where].astype(np.int32)
