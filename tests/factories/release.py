"""A small release that is real in every part: vectors, neighbours, item table, and an XGBoost ranker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost as xgb

from tonnage.features import ranking
from tonnage.releases.config import IndexConfig
from tonnage.releases.release import Release
from tonnage.releases.writing import write_release
from tonnage.training.trained import DataWindow, Names, Trained

UNTIL = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
VOCABULARIES = {"country": ["France", "Germany", "United Kingdom"]}
CATEGORIES = ("garden", "kitchen", "toys")
BLOCK = 500


@dataclass(frozen=True)
class Judged:
    """An evaluation with a given outcome."""

    accepted: bool = True
    ndcg: float = 0.4

    @property
    def reasons(self) -> Sequence[str]:
        return [f"NDCG@10 {self.ndcg:.3f} against 0.300 of popularity"]

    def as_dict(self) -> Mapping[str, object]:
        slate = {"model": "slate", "group": "all", "ndcg@10": self.ndcg, "ndcg@10_low": self.ndcg - 0.01}
        return {"rows": [slate, {"model": "popularity", "group": "all", "ndcg@10": 0.3}]}


def trained(
    *,
    items: int = 60,
    dimensions: int = 16,
    neighbours: int = 5,
    seed: int = 7,
    accepted: bool = True,
    ndcg: float = 0.4,
    names: Names | None = None,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    until: datetime = UNTIL,
) -> Trained:
    """A training result over `items` items; the vectors of one category lie close together."""
    random = np.random.default_rng(seed)
    vocabularies = VOCABULARIES if vocabularies is None else vocabularies
    names = names or ranking.names(vocabularies)
    category = np.arange(items) % len(CATEGORIES)
    centres = random.normal(size=(len(CATEGORIES), dimensions))
    vectors = (centres[category] + 0.3 * random.normal(size=(items, dimensions))).astype(np.float32)
    rows, weights = _neighbours(vectors, neighbours)
    some = vectors[::2][:40]
    return Trained(
        items=_items(random, category, names.item, until),
        item_vectors=vectors,
        gram=(vectors.T @ vectors + 0.1 * np.eye(dimensions)).astype(np.float32),
        alpha=40.0,
        queries=some + vectors[: len(some)],
        neighbour_rows=rows,
        neighbour_weights=weights,
        ranker=_ranker(random, names),
        vocabularies=vocabularies,
        names=names,
        evaluation=Judged(accepted=accepted, ndcg=ndcg),
        window=DataWindow(
            since=until - timedelta(days=373),
            until=until,
            interactions=391_148,
            users=4_334,
            items=items,
            judged_from=until - timedelta(days=30),
            judged_until=until,
        ),
        replay=True,
    )


def release(directory: Path, *, index: IndexConfig | None = None, **about: Any) -> Release:
    """Write a small release below `directory` and open it; `about` as for `trained`."""
    return write_release(trained(**about), directory, index=index)


def rejected(result: Trained) -> Trained:
    """The same result, beaten by a baseline."""
    return replace(result, evaluation=Judged(accepted=False, ndcg=0.2))


def _neighbours(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Among the items of one block, so that a large catalogue needs no square of its size."""
    blocks = [(vectors[start : start + BLOCK], start) for start in range(0, len(vectors), BLOCK)]
    rows, weights = zip(*(_nearest(block, count, start) for block, start in blocks), strict=True)
    return np.concatenate(rows), np.concatenate(weights)


def _nearest(vectors: np.ndarray, count: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -np.inf)
    rows = np.argsort(-similar, axis=1, kind="stable")[:, :count].astype(np.int32)
    return rows + np.int32(first), np.take_along_axis(similar, rows, axis=1).astype(np.float32)


def _items(
    random: np.random.Generator, category: np.ndarray, features: Sequence[str], until: datetime
) -> pa.Table:
    n = len(category)
    columns: dict[str, Any] = {
        "item_id": pa.array([f"{10_000 + row}" for row in range(n)]),
        "title": pa.array([f"{CATEGORIES[code].upper()} THING {row}" for row, code in enumerate(category)]),
        "category": pa.array([CATEGORIES[code] for code in category]),
        "price": pa.array(random.uniform(0.5, 20, n).round(2)),
        "popularity": pa.array(random.gamma(1, 50, n).astype(np.float32)),
        "first_seen": pa.array(
            [until - timedelta(days=int(day)) for day in random.integers(1, 370, n)],
            pa.timestamp("us", "UTC"),
        ),
    }
    columns |= {
        name: pa.array(random.normal(size=n).astype(np.float32)) for name in features if name not in columns
    }
    # What is wanted now is seldom what was wanted over the long run.
    columns["recent_popularity"] = columns["popularity"][::-1]
    return pa.table(columns)


def _ranker(random: np.random.Generator, names: Names) -> bytes:
    """Trees that prefer what the sources prefer; every column is present, noise included."""
    groups, per_group = 40, 20
    matrix = random.normal(size=(groups * per_group, len(names.all))).astype(np.float32)
    sources = [names.all.index(name) for name in names.sources]
    relevance = matrix[:, sources].sum(axis=1) + 0.5 * random.normal(size=len(matrix))
    data = xgb.DMatrix(matrix, label=(relevance > 1.5).astype(np.float32), group=[per_group] * groups)
    parameters = {"objective": "rank:ndcg", "max_depth": 3, "eta": 0.3, "nthread": 1, "seed": 7}
    return bytes(xgb.train(parameters, data, num_boost_round=20).save_raw("ubj"))
