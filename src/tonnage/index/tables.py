"""Vectors as they lie in a file: mapped, shared between processes, and scored a piece at a time."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.index.variants import PAGE

PIECE = 4096
"""Rows that are turned into float32 at once: few enough to stay in the processor's cache."""

I8 = 127
"""Largest magnitude of an int8 component; -128 is left out so that a vector and its opposite are equals."""


class Mapped:
    """A file in memory, read-only and shared with every process that maps it too."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as content:
            self._map = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)

    def load(self) -> None:
        """Bring every page into memory and into this process's page table."""
        self._map.madvise(mmap.MADV_WILLNEED)
        int(self.bytes[::PAGE].max())


class Table:
    """Item vectors at one precision, row i of item i.

    Args:
        stored: float32, float16 or int8 [n, d].
        scale: what a stored component is multiplied with to give its value.
    """

    def __init__(self, stored: NDArray[Any], scale: float = 1.0) -> None:
        self.stored = stored
        self.scale = np.float32(scale)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def dimensions(self) -> int:
        """Components of a vector."""
        return int(self.stored.shape[1])

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows, float32 [len(rows), d]."""
        found: Floats = self.stored.take(rows, axis=0).astype(np.float32)
        if self.scale != 1:
            found *= self.scale
        return found

    def scores(self, query: Floats, rows: Rows | None = None) -> Floats:
        """Inner products of the query with the vectors of `rows`, or with all, float32 [n]."""
        n = len(self) if rows is None else len(rows)
        scaled = (query * self.scale).astype(np.float32)
        if rows is None and self.stored.dtype == np.float32:
            product: Floats = self.stored @ scaled
            return product
        scores = np.empty(n, np.float32)
        for start in range(0, n, PIECE):
            piece = slice(start, min(start + PIECE, n))
            np.matmul(self._piece(piece, rows), scaled, out=scores[piece])
        return scores

    def cosines(self, query: Floats, rows: Rows | None = None) -> Floats:
        """Cosines of the query with the vectors of `rows`, or of all, float32 [n]; 0 beside a null vector."""
        n = len(self) if rows is None else len(rows)
        cosines = np.empty(n, np.float32)
        for start in range(0, n, PIECE):
            piece = slice(start, min(start + PIECE, n))
            vectors = self._piece(piece, rows)
            lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
            cosines[piece] = (vectors @ query) / np.where(lengths > 0, lengths, 1)
        length = np.linalg.norm(query)
        if length > 0:
            cosines /= length
        return cosines

    def _piece(self, piece: slice, rows: Rows | None) -> Floats:
        """Stored components of some rows as float32, not yet scaled."""
        taken = self.stored[piece] if rows is None else self.stored.take(rows[piece], axis=0)
        return taken.astype(np.float32, copy=False)


def quantise(vectors: Floats) -> tuple[NDArray[np.int8], float]:
    """Vectors as int8, and the one scale that undoes it.

    One scale for the whole table keeps inner products in order, which a scale per vector would not.
    """
    largest = float(np.abs(vectors).max(initial=0.0))
    scale = largest / I8 if largest > 0 else 1.0
    stored = np.empty(vectors.shape, np.int8)
    for start in range(0, len(vectors), PIECE):
        stored[start : start + PIECE] = np.rint(vectors[start : start + PIECE] / np.float32(scale))
    return stored, scale
