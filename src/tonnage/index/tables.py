"""Vectors as they lie in a file: mapped, shared between processes, and scored a piece at a time."""

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.index.variants import PAGE, pages

PIECE = 1024
"""Rows that are turned into float32 at once: few enough to stay in the processor's cache."""

I8 = 127
"""Largest magnitude of an int8 component; -128 is left out so that a vector and its opposite are equals."""

F16 = 1024.0
"""Largest magnitude of a float16 component, far from both ends of what one can say."""


class Mapped:
    """A file in memory, read-only and shared with every process that maps it too."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("rb") as content:
            self._map = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)

    @property
    def resident_bytes(self) -> int:
        """Memory that it takes once it is loaded."""
        return pages(self.bytes.nbytes)

    def load(self) -> None:
        """Bring every page into memory and into this process's page table."""
        self._map.madvise(mmap.MADV_WILLNEED)
        int(self.bytes[::PAGE].max())

    def array(self) -> NDArray[Any]:
        """The array of a `.npy` file, in this mapping."""
        found = np.load(self.file, mmap_mode="r", allow_pickle=False)
        view: NDArray[Any] = self.bytes[self.bytes.nbytes - found.nbytes :].view(found.dtype)
        return view.reshape(found.shape)


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

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows, float32 [len(rows), d]."""
        found: Floats = self.stored.take(rows, axis=0).astype(np.float32)
        return found * self.scale

    def scores(self, query: Floats, rows: Rows | None = None) -> Floats:
        """Inner products of the query with the vectors of `rows`, or with all, float32 [n]."""
        n = len(self) if rows is None else len(rows)
        scaled = (query * self.scale).astype(np.float32)
        if rows is None and self.stored.dtype == np.float32:
            product: Floats = self.stored @ scaled
            return product
        scores = np.empty(n, np.float32)
        scratch = np.empty((min(n, PIECE), self.stored.shape[1]), np.float32)
        for start in range(0, n, PIECE):
            piece = slice(start, min(start + PIECE, n))
            taken = self.stored[piece] if rows is None else self.stored.take(rows[piece], axis=0)
            np.matmul(as_floats(taken, scratch[: len(taken)]), scaled, out=scores[piece])
        return scores


class FileTable:
    """Vectors that stay in their file: those of a few rows are read when somebody asks.

    Nothing of it is mapped, so that a pod which chose a smaller precision does not come to hold this one.
    """

    def __init__(self, table: Table, file: Path, start: int) -> None:
        # Not a slice of it, which would keep it mapped.
        self._row = np.empty((0, table.stored.shape[1]), table.stored.dtype)
        self._scale = table.scale
        self._file = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)
        self._start = start

    def __del__(self) -> None:
        os.close(self._file)

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows, float32 [len(rows), d]."""
        width = self._row.shape[1] * self._row.itemsize
        read = b"".join(os.pread(self._file, width, self._start + row * width) for row in rows.tolist())
        stored = np.frombuffer(read, self._row.dtype).reshape(len(rows), self._row.shape[1])
        return stored.astype(np.float32) * self._scale

    def scores(self, query: Floats, rows: Rows) -> Floats:
        """Inner products of the query with the vectors of `rows`, float32 [n]."""
        product: Floats = self.vectors(rows) @ query
        return product


def quantise(vectors: Floats, dtype: type) -> tuple[NDArray[Any], float]:
    """Vectors as float32, float16 or int8, and the one scale that undoes it.

    One scale for the whole table keeps inner products in order, which a scale per vector would not.
    """
    if dtype == np.float32:
        return np.asarray(vectors, np.float32), 1.0
    largest = max(float(np.abs(piece).max(initial=0.0)) for piece in _pieces(vectors))
    limit = float(I8) if dtype == np.int8 else F16
    scale = largest / limit if largest > 0 else 1.0
    stored: NDArray[Any] = np.empty(vectors.shape, dtype)
    for start, piece in zip(range(0, len(vectors), PIECE), _pieces(vectors), strict=True):
        scaled = piece.astype(np.float64) / scale
        stored[start : start + PIECE] = np.rint(scaled) if dtype == np.int8 else scaled
    return stored, scale


def as_floats(stored: NDArray[Any], out: Floats) -> Floats:
    """Stored components as float32, written to `out` of the same shape."""
    if stored.dtype != np.float16:
        np.copyto(out, stored, casting="unsafe")
        return out
    # A half's bits in a single's places; numpy's own way takes several times as long.
    bits = out.view(np.uint32)
    np.copyto(bits, stored.view(np.uint16), casting="unsafe")
    sign = (bits & 0x8000) << np.uint32(16)
    bits &= np.uint32(0x7FFF)
    bits <<= np.uint32(13)
    bits |= sign
    out *= np.float32(2.0**112)
    return out


def _pieces(vectors: Floats) -> list[Floats]:
    return [vectors[start : start + PIECE] for start in range(0, max(len(vectors), 1), PIECE)]
