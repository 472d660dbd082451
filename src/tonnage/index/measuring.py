"""Measuring what an index variant finds, and what it takes."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tonnage.domain import Floats, Rows
from tonnage.index.search import Index, best
from tonnage.index.stored import open_index
from tonnage.index.tables import Table
from tonnage.index.variants import Variant, predict_bytes

DEEPEST = 500
"""Most items that recall is measured for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One variant and what it was found to be.

    Attributes:
        name: of the variant.
        files: that it is served from, relative to the directory of the vectors.
        disk_bytes: their size.
        resident_bytes: memory that it is predicted to keep resident.
        recall_at_100: mean share of the exact top 100 over float32 that it finds.
        recall_at_500: likewise of the top 500.
        latency_ms: median time of one search for 100 items in one thread. Another run finds another.
    """

    name: str
    files: tuple[str, ...]
    disk_bytes: int
    resident_bytes: int
    recall_at_100: float
    recall_at_500: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries, and for each the best rows by exact search over float32, the best first.

    Attributes:
        queries: float32 [m, d].
        rows: int32 [m, min(n, DEEPEST)].
    """

    queries: Floats
    rows: Rows

    @classmethod
    def of(cls, vectors: Floats, queries: Floats) -> Self:
        """Ask the exact search."""
        table = Table(np.asarray(vectors, np.float32))
        depth = min(DEEPEST, len(vectors))
        rows = np.empty((len(queries), depth), np.int32)
        for position, query in enumerate(queries):
            rows[position] = best(None, table.scores(query), depth)[0]
        return cls(queries, rows)


def measure(directory: Path, which: Variant, files: tuple[str, ...], truth: Truth) -> Measured:
    """Open a variant and measure it."""
    index = open_index(directory, which.name)
    index.load()
    return Measured(
        name=which.name,
        files=files,
        disk_bytes=sum((directory / file).stat().st_size for file in files),
        resident_bytes=predict_bytes(which.name, index.items, index.dimensions),
        recall_at_100=round(recall_of(index, truth, 100), 4),
        recall_at_500=round(recall_of(index, truth, DEEPEST), 4),
        latency_ms=_latency_ms(index, truth.queries),
    )


def recall_of(index: Index, truth: Truth, k: int) -> float:
    """Mean share of the exact top `k` that an index finds; 1 where there is nothing to ask or to find."""
    k = min(k, truth.rows.shape[1])
    shares = [
        np.isin(index.search(query, k)[0], wanted[:k]).sum() / k
        for query, wanted in zip(truth.queries, truth.rows, strict=True)
        if k
    ]
    return float(np.mean(shares)) if shares else 1.0


def _latency_ms(index: Index, queries: Floats) -> float:
    taken = []
    for query in queries:
        start = time.perf_counter()
        index.search(query, 100)
        taken.append(time.perf_counter() - start)
    return round(float(np.median(taken)) * 1e3, 3) if taken else 0.0
