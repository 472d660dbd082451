"""HNSW graphs (Malkov and Yashunin 2018) for the largest inner product, by usearch.

Which items are linked is decided once, from vectors with some coordinates more, and does not depend on the
precision: usearch's file holds the vectors first and the links after them (usearch, `docs/format.md`), so
each precision's file is its own vectors before the same links.

Linked by inner product alone, short vectors are nobody's neighbour and most are never found; with the
coordinates that make all lengths equal (Bachrach et al. 2014) every item is found, but popular ones, which
answer most queries, no sooner than others. In between both are. Measured on simulated tastes, 50,000 x 128
at int8, M=16, expansion 400: recall@100 0.86 by inner product, 0.75 with equal lengths, 0.96 in between.
"""

import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.errors import IntegrityError
from tonnage.index.tables import I8, Mapped, Table, quantise
from tonnage.index.variants import CONNECTIVITY, PADDING

EQUALISED = 0.35
"""How much of what a vector's squared length lacks to the longest one's is added, in linking only."""

ADDED = 4
"""Coordinates that share it, so that it does not set the scale of all."""

EXPANSION_ADD = 192
"""Candidates for the links of a new node (efConstruction)."""

KINDS = {np.dtype(np.float32): ("f32", 11), np.dtype(np.float16): ("f16", 12), np.dtype(np.int8): ("i8", 23)}
"""usearch's name and number for a component."""

_HEAD = 64
_KIND_AT, _DIMENSIONS_AT = 14, 33


@dataclass(frozen=True, slots=True)
class Links:
    """Who is linked to whom: what usearch's file holds after the vectors."""

    head: bytes
    nodes: NDArray[np.uint8]


def link(vectors: Floats) -> Links:
    """Link every vector with others near it. The same vectors, the same links.

    Args:
        vectors: float32 [n, d].
    """
    stored, _ = quantise(_equalised(vectors), np.int8)
    graph = _usearch(stored.shape[1], stored.dtype, connectivity=CONNECTIVITY, expansion_add=EXPANSION_ADD)
    # In one thread and in the order of rows: then row i lies at place i, and nothing is left to chance.
    graph.add(np.arange(len(stored), dtype=np.uint64), stored, threads=1)
    with TemporaryDirectory() as place:
        path = Path(place) / "links"
        graph.save(path)
        del graph
        raw = np.fromfile(path, np.uint8)
    start = 8 + stored.nbytes
    return Links(raw[start : start + _HEAD].tobytes(), raw[start + _HEAD :])


def write(file: Path, stored: NDArray[Any], links: Links) -> None:
    """Write a graph over vectors at their precision.

    Args:
        file: to write.
        stored: float32, float16 or int8 [n, d].
        links: of these vectors.
    """
    head = bytearray(links.head)
    head[_KIND_AT] = KINDS[stored.dtype][1]
    head[_DIMENSIONS_AT : _DIMENSIONS_AT + 8] = stored.shape[1].to_bytes(8, "little")
    with file.open("wb") as out:
        out.write(bytes(PADDING))
        out.write(np.array([len(stored), stored.shape[1] * stored.itemsize], np.uint32).tobytes())
        stored.tofile(out)
        out.write(head)
        links.nodes.tofile(out)


def table_of(mapped: Mapped, dtype: type, scale: float) -> tuple[Table, int]:
    """The vectors in a graph's file, and where in it they start.

    Raises:
        IntegrityError: the file is too short for them.
    """
    rows, width = mapped.bytes[PADDING : PADDING + 8].view(np.uint32).tolist()
    start = PADDING + 8
    found = mapped.bytes[start : start + rows * width]
    if len(found) != rows * width or not width:
        raise IntegrityError("the file of an index is cut", file=mapped.file)
    return Table(found.view(dtype).reshape(rows, -1), scale), start


class Graph:
    """A graph in a mapped file. Safe to call from several threads, which take turns."""

    def __init__(self, mapped: Mapped, table: Table) -> None:
        self._index = _usearch(table.stored.shape[1], table.stored.dtype)
        self._index.view(mapped.bytes[PADDING:].data)
        self._mapped, self._dtype = mapped, table.stored.dtype
        # Expansion and metric are settings of the whole index: nobody may set them while another searches.
        self._turn = threading.Lock()
        self._by_direction = False

    def nearest(self, query: Floats, count: int, expansion: int, *, by_direction: bool = False) -> Rows:
        """About the `count` rows with the largest inner products, or cosines, best first.

        Args:
            query: float32 [d].
            count: how many.
            expansion: candidates that are kept while searching (ef); more of them find more.
            by_direction: by cosine: the same links lead there too, since they are not those of inner
                products alone.
        """
        asked = _as(query, self._dtype)
        with self._turn:
            if by_direction != self._by_direction:
                self._index.metric = "cos" if by_direction else "ip"
                self._by_direction = by_direction
            self._index.expansion_search = max(expansion, count)
            found = self._index.search(asked, count, threads=1)
        rows: Rows = found.keys.astype(np.int32)
        return rows


def _usearch(dimensions: int, dtype: np.dtype[Any], **settings: int) -> Any:
    # Loaded for who has a graph, and after pyarrow: loaded before any other library with C++ streams, usearch
    # 2.26 breaks those of XGBoost, which then reads no parameter.
    import pyarrow  # noqa: F401, ICN001
    from usearch.index import Index, MetricKind

    name, _ = KINDS[dtype]
    return Index(ndim=dimensions, metric=MetricKind.IP, dtype=name, enable_key_lookups=False, **settings)


def _equalised(vectors: Floats) -> Floats:
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    lacking = np.sqrt(EQUALISED * (squares.max(initial=0.0) - squares) / ADDED)
    return np.hstack([vectors, np.repeat(lacking[:, None], ADDED, axis=1)]).astype(np.float32)


def _as(query: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The query in a graph's own components; its length does not change the order of the answer."""
    # usearch would divide float32 by its length on the way to int8.
    largest = float(np.abs(query).max(initial=0.0))
    unit = query / np.float32(largest) if largest > 0 else query
    return np.rint(unit * np.float32(I8)).astype(np.int8) if dtype == np.int8 else unit
