"""The ways to store and search the item vectors: their names, and the memory that each needs."""

from dataclasses import dataclass
from typing import Literal

from tonnage.errors import InputError

Search = Literal["exact", "hnsw"]
Precision = Literal["f32", "f16", "i8", "i8half"]

PRECISIONS: dict[Precision, int] = {"f32": 4, "f16": 2, "i8": 1, "i8half": 1}
"""Bytes of one stored component, from the most exact precision to the least.

`i8half` keeps half of the dimensions, those that hold most of the vectors' length after a turn to their
principal axes: four bits for each of the original ones. What it finds is scored again with `i8` vectors.
"""

EXACT_ITEMS = 20_000
"""Catalogues up to this size are scanned, larger ones get a graph: about here both take the same time."""

CONNECTIVITY = 12
"""Links of a node in each layer of a graph but the lowest, which has twice as many (M of the HNSW paper)."""

PADDING = 56
"""Bytes before a graph, so that its vectors, 8 bytes further, begin where the processor's cache lines do."""

RECALL_FLOOR = 0.95
"""Recall@100 against the exact search over float32 vectors that an index must reach by default."""

PAGE = 4096
"""Bytes in which memory is mapped."""

_NPY_HEADER = 128
_GRAPH_HEADERS = 8 + 64 + 40
# Its key, level and number of links, the links, and its level once more in the graph's table of contents.
_NODE = 8 + 2 + 4 + 4 * 2 * CONNECTIVITY + 2
# One node in M reaches the next layer, so the layers above the lowest have n / (M - 1) nodes in all.
_UPPER_NODE = (4 + 4 * CONNECTIVITY) / (CONNECTIVITY - 1)
# usearch keeps a pointer to each node and one to each vector; they are the only part that is not mapped.
_POINTERS = 8 + 8
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to store and search the vectors."""

    search: Search
    precision: Precision

    @property
    def name(self) -> str:
        """As the manifest, metrics and settings call it."""
        return f"{self.search}-{self.precision}"

    @property
    def finer(self) -> "Variant | None":
        """The variant whose vectors score again what this one finds."""
        return Variant(self.search, "i8") if self.precision == "i8half" else None

    def stored_dimensions(self, dimensions: int) -> int:
        """Components that are stored of each vector."""
        return -(-dimensions // 2) if self.precision == "i8half" else dimensions


_BY_NAME = {
    each.name: each
    for precision in PRECISIONS
    for each in (Variant("exact", precision), Variant("hnsw", precision))
}

VARIANTS = tuple(_BY_NAME)
"""Every variant's name, from the most exact to the least."""


def variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        InputError: there is none.
    """
    if name not in _BY_NAME:
        raise InputError("there is no such index variant", variant=name, known=", ".join(VARIANTS))
    return _BY_NAME[name]


def variants_for(items: int) -> tuple[str, ...]:
    """Names of the variants that make sense for a catalogue, from the most exact to the least."""
    search = "exact" if items <= EXACT_ITEMS else "hnsw"
    return tuple(name for name, each in _BY_NAME.items() if each.search == search)


def predict_bytes(name: str, items: int, dimensions: int) -> int:
    """Memory that a variant keeps resident, in bytes: its mapped files, and the pointers of a graph.

    The finer vectors with which `i8half` scores again are not among it: the few that a search needs are read
    from their file, and what of that stays in the page cache the kernel takes back when it wants to.

    Raises:
        InputError: there is no such variant.
    """
    which = variant(name)
    width = which.stored_dimensions(dimensions) * PRECISIONS[which.precision]
    total = pages(_NPY_HEADER + items * _LENGTH)
    if which.finer is not None:
        total += pages(_NPY_HEADER + 4 * dimensions * which.stored_dimensions(dimensions))
    if which.search == "exact":
        return total + pages(_NPY_HEADER + items * width)
    links = int(items * (_NODE + _UPPER_NODE))
    return total + pages(PADDING + _GRAPH_HEADERS + items * width + links) + items * _POINTERS


def pages(size: int) -> int:
    """Bytes of the whole pages that hold `size` bytes."""
    return -(-size // PAGE) * PAGE
