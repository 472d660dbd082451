"""From item ids to item rows and back, without one Python object per item.

Ids stay where the item table's file is mapped. Beside it lie the ids' CRC-32 in ascending order, each with
its row; a search among the sums leaves one row to compare, or a few where sums collide.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tonnage.domain import ItemId, Rows

Lookup = NDArray[np.uint32]
"""uint32 [2, n]: CRC-32 of the ids as UTF-8, ascending, and the row of each."""


class ItemIds(Mapping[ItemId, int]):
    """Item id to item row, in the order of rows.

    Args:
        column: the ids, `item_id` of the item table.
        lookup: from `lookup_of` the same column.
    """

    def __init__(self, column: pa.ChunkedArray, lookup: Lookup) -> None:
        self._ends, self._text = _text(column)
        self._sums, self._rows = lookup

    def __len__(self) -> int:
        return len(self._sums)

    def __iter__(self) -> Iterator[ItemId]:
        return (self._id(row) for row in range(len(self)))

    def __getitem__(self, item: ItemId) -> int:
        row = int(self.rows([item])[0])
        if row < 0:
            raise KeyError(item)
        return row

    def rows(self, items: Sequence[ItemId]) -> Rows:
        """Rows of items, int32; -1 for each that is not here."""
        names = [item.encode("utf-8", "surrogatepass") for item in items]
        sums = np.array([zlib.crc32(name) for name in names], np.uint32)
        if not len(self):
            return np.full(len(names), -1, np.int32)
        places = np.searchsorted(self._sums, sums)
        # All first guesses at once, for nearly all are right; the others are looked at one by one.
        guesses = self._rows[np.minimum(places, len(self) - 1)]
        spans = zip(self._ends[guesses].tolist(), self._ends[guesses + 1].tolist(), strict=True)
        rows: Rows = guesses.astype(np.int32)
        for position, (name, (start, end)) in enumerate(zip(names, spans, strict=True)):
            if self._text[start:end] != name:
                rows[position] = self._row(name, int(sums[position]), int(places[position]))
        return rows

    def ids(self, rows: Rows) -> list[ItemId]:
        """Ids of rows, in their order."""
        return [self._id(row) for row in rows.tolist()]

    def _row(self, name: bytes, crc: int, at: int) -> int:
        while at < len(self._sums) and self._sums[at] == crc:
            row = int(self._rows[at])
            if self._bytes(row) == name:
                return row
            at += 1
        return -1

    def _id(self, row: int) -> ItemId:
        return ItemId(str(self._bytes(row), "utf-8"))

    def _bytes(self, row: int) -> memoryview:
        return self._text[self._ends[row] : self._ends[row + 1]]


def lookup_of(column: pa.ChunkedArray) -> Lookup:
    """What finds the row of an id in a column of ids."""
    ends, text = _text(column)
    n = len(ends) - 1
    sums = np.fromiter((zlib.crc32(text[ends[row] : ends[row + 1]]) for row in range(n)), np.uint32, n)
    order = np.argsort(sums, kind="stable")
    return np.stack([sums[order], order.astype(np.uint32)])


def _text(column: pa.ChunkedArray) -> tuple[NDArray[Any], memoryview]:
    """Where each text of a column ends, [n + 1] with the first one's start, and all of them as UTF-8."""
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, ends, text = array.buffers()
    every = np.frombuffer(ends, width) if ends is not None else np.zeros(1, width)
    return every[array.offset : array.offset + len(array) + 1], memoryview(text or b"").cast("B")
