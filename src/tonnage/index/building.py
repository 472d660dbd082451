"""Building the index variants of a release, and measuring what each loses."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonnage.domain import Floats
from tonnage.index.search import DESCRIPTION, Index, best, open_index
from tonnage.index.tables import Table, quantise
from tonnage.index.variants import predict_bytes, variant, variants_for
from tonnage.telemetry import Progress

VECTORS = "item_vectors.npy"
"""The vectors as they were trained, float32; they are the table of the exact search over float32."""

TIMED = 50
"""Queries that are timed, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One variant and what it was found to be.

    Attributes:
        name: of the variant.
        files: that it is served from, relative to the directory of the vectors.
        disk_bytes: their size.
        resident_bytes: memory that it is predicted to keep resident.
        recall_at_100: mean share of the exact top 100 over float32 that it finds; likewise `recall_at_500`.
        recall_at_500: of the exact top 500.
        latency_ms: median time of one search for 100 items in one thread. Another run finds another.
    """

    name: str
    files: tuple[str, ...]
    disk_bytes: int
    resident_bytes: int
    recall_at_100: float
    recall_at_500: float
    latency_ms: float


def build(
    vectors: Floats,
    directory: Path,
    *,
    variants: Sequence[str] | None = None,
    queries: Floats,
    recall: float = 0.95,  # noqa: ARG001
    progress: Progress,
) -> tuple[Measured, ...]:
    """Write index variants beside the vectors, and measure each.

    Args:
        vectors: float32 [n, d].
        directory: that holds `item_vectors.npy` with these vectors.
        variants: names; by default all that make sense for the size.
        queries: held-out user vectors, float32 [m, d].
        recall: share of the exact top 100 that a graph must find, where it can.
        progress: is told of each step.

    Raises:
        InputError: there is no such variant.
    """
    names = variants_for(len(vectors)) if variants is None else tuple(variants)
    made = {}
    for name in names:
        with progress.stage(f"index {name}"):
            made[name] = _write(vectors, directory, name)
    (directory / DESCRIPTION).parent.mkdir(exist_ok=True)
    (directory / DESCRIPTION).write_text(json.dumps({"variants": made}, indent=2) + "\n", encoding="ascii")
    exact = Table(np.asarray(vectors, np.float32))
    truth = [best(None, exact.scores(query), 500)[0] for query in queries]
    return tuple(_measure(directory, name, made[name], queries, truth) for name in names)


def _write(vectors: Floats, directory: Path, name: str) -> dict[str, object]:
    precision = variant(name).precision
    if precision == "f32":
        return {"file": VECTORS, "scale": 1.0}
    stored, scale = quantise(vectors) if precision == "i8" else (vectors.astype(np.float16), 1.0)
    file = f"index/{precision}.npy"
    (directory / file).parent.mkdir(exist_ok=True)
    np.save(directory / file, stored, allow_pickle=False)
    return {"file": file, "scale": scale}


def _measure(
    directory: Path, name: str, made: dict[str, object], queries: Floats, truth: Sequence[object]
) -> Measured:
    index = open_index(directory, name)
    index.load()
    files = (str(made["file"]), DESCRIPTION)
    return Measured(
        name=name,
        files=files,
        disk_bytes=sum((directory / file).stat().st_size for file in files),
        resident_bytes=predict_bytes(name, index.items, index.dimensions),
        recall_at_100=_recall(index, queries, truth, 100),
        recall_at_500=_recall(index, queries, truth, 500),
        latency_ms=_latency_ms(index, queries),
    )


def _recall(index: Index, queries: Floats, truth: Sequence[object], k: int) -> float:
    k = min(k, index.items)
    shares = [
        np.isin(index.search(query, k)[0], wanted[:k]).sum() / k  # type: ignore[index]
        for query, wanted in zip(queries, truth, strict=True)
    ]
    return round(float(np.mean(shares)), 4) if shares else 1.0


def _latency_ms(index: Index, queries: Floats) -> float:
    taken = []
    for query in queries[:TIMED]:
        start = time.perf_counter()
        index.search(query, 100)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3 if taken else 0.0
