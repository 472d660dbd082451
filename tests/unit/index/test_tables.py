"""Every precision scores as float32 does, within what the precision can say."""

from pathlib import Path

import numpy as np
import pytest

from tonnage.index import build, open_index, predict_bytes
from tonnage.telemetry import Silent

ITEMS, DIMENSIONS = 500, 24


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(ITEMS, DIMENSIONS)).astype(np.float32)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> Path:
    home = tmp_path_factory.mktemp("retrieval")
    np.save(home / "item_vectors.npy", vectors)
    build(vectors, home, queries=vectors[:20], progress=Silent())
    return home


@pytest.mark.parametrize("name", ["exact-f32", "exact-f16", "exact-i8"])
def test_an_exact_search_ranks_what_it_stores_by_true_inner_products(
    home: Path, vectors: np.ndarray, name: str
):
    index = open_index(home, name)
    index.load()
    query = np.random.default_rng(8).normal(size=DIMENSIONS).astype(np.float32)
    stored = index.vectors(np.arange(ITEMS, dtype=np.int32)) @ query
    rows, scores = index.search(query, 50)
    np.testing.assert_array_equal(rows, np.argsort(-stored, kind="stable")[:50])
    np.testing.assert_allclose(scores, stored[rows], rtol=1e-4, atol=1e-5)
    # Half a step of the precision in every component.
    step = {
        "exact-f32": 0,
        "exact-f16": np.abs(vectors).max() / 2**10,
        "exact-i8": np.abs(vectors).max() / 127,
    }
    bound = step[name] / 2 * np.abs(query).sum() + 1e-4
    assert np.abs(scores - vectors[rows] @ query).max() < bound
    np.testing.assert_allclose(index.scores_of(query, rows), scores, rtol=1e-4, atol=1e-5)
    assert index.resident_bytes == predict_bytes(name, ITEMS, DIMENSIONS)


def test_a_replaced_vector_is_found_at_once(home: Path):
    index = open_index(home, "exact-i8")
    query = np.zeros(DIMENSIONS, np.float32)
    query[3] = 1
    index.put(77, query * 100)
    rows, scores = index.search(query, 3)
    assert rows[0] == 77
    assert scores[0] == 100
    assert index.similar(np.array([77], np.int32), 1)[0][0] == 77
