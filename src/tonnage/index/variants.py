"""The ways to store and search the item vectors: their names, their files, and the memory each needs."""

from dataclasses import dataclass
from typing import Literal

from tonnage.errors import InputError

Search = Literal["exact", "hnsw"]
Precision = Literal["f32", "f16", "i8"]

PRECISIONS: dict[Precision, int] = {"f32": 4, "f16": 2, "i8": 1}
"""Bytes of one stored component, from the most exact to the least."""

EXACT_ITEMS = 20_000
"""Catalogues up to this size are scanned, larger ones get a graph: about here both take the same time."""

PAGE = 4096
"""Bytes in which memory is mapped."""

NPY_HEADER = 128
"""Bytes before the data of a small `.npy` file."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to store and search the vectors."""

    search: Search
    precision: Precision

    @property
    def name(self) -> str:
        """As the manifest, metrics and settings call it."""
        return f"{self.search}-{self.precision}"


_BY_NAME = {
    variant.name: variant
    for precision in PRECISIONS
    for variant in (Variant("exact", precision), Variant("hnsw", precision))
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
    """Memory that a variant keeps resident, in bytes: whole pages of its file.

    Raises:
        InputError: there is no such variant.
    """
    which = variant(name)
    return pages(NPY_HEADER + items * dimensions * PRECISIONS[which.precision])


def pages(size: int) -> int:
    """Bytes of the whole pages that hold `size` bytes."""
    return -(-size // PAGE) * PAGE
