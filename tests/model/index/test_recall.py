"""Graphs find what an exact search over float32 finds, with and without a filter."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.factories.vectors import queries, vectors

from tonnage.index import VARIANTS, Measured, build, open_index
from tonnage.index.stored import StoredIndex
from tonnage.telemetry import Silent

ITEMS, DIMENSIONS, FLOOR = 12_000, 32, 0.95
GRAPHS = tuple(name for name in VARIANTS if name.startswith("hnsw"))


def built(home: Path, items: np.ndarray) -> tuple[Measured, ...]:
    home.mkdir()
    np.save(home / "item_vectors.npy", items)
    return build(items, home, variants=GRAPHS, queries=queries(items, 80), progress=Silent())


@pytest.fixture(scope="module")
def items() -> np.ndarray:
    return vectors(ITEMS, DIMENSIONS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, items: np.ndarray) -> Path:
    home = tmp_path_factory.mktemp("graphs") / "retrieval"
    built(home, items)
    return home


@pytest.fixture(scope="module")
def asked(items: np.ndarray) -> np.ndarray:
    return queries(items, 40, seed=99)


def exact(items: np.ndarray, query: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    among = np.flatnonzero(allowed)
    return among[np.argsort(-(items[among] @ query), kind="stable")[:k]]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("k", [10, 100, 500])
def test_users_that_nobody_tuned_for_are_found_their_items(
    home: Path, items: np.ndarray, asked: np.ndarray, name: str, k: int
):
    index, every = open_index(home, name), np.ones(ITEMS, bool)
    shares = [np.isin(index.search(q, k)[0], exact(items, q, every, k)).mean() for q in asked]
    assert np.mean(shares) >= FLOOR


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2, 0.05, 0.01, 0.0005])
def test_no_filter_is_so_tight_or_so_loose_that_it_costs_recall(
    home: Path, items: np.ndarray, asked: np.ndarray, name: str, share: float
):
    index, allowed = open_index(home, name), np.random.default_rng(3).random(ITEMS) < share
    shares = []
    for query in asked:
        found, scores = index.search(query, 100, allowed)
        wanted = exact(items, query, allowed, 100)
        assert allowed[found].all()
        assert len(found) == len(wanted)
        np.testing.assert_allclose(scores, items[found] @ query, atol=0.02 * np.abs(items @ query).max())
        shares.append(np.isin(found, wanted).mean())
    assert np.mean(shares) >= FLOOR


@pytest.mark.parametrize("name", GRAPHS)
def test_a_filter_that_bars_what_the_user_likes_best_still_gets_its_answer(
    home: Path, items: np.ndarray, asked: np.ndarray, name: str
):
    """Half of the catalogue may come, and none of it is where the graph looks first."""
    index = open_index(home, name)
    for query in asked[:10]:
        scores = items @ query
        allowed = scores < np.median(scores)
        found, _ = index.search(query, 100, allowed)
        assert len(found) == 100
        # Here a hundredth of the spread of scores holds dozens of items, so no precision can say which.
        least = scores[exact(items, query, allowed, 100)].min()
        assert (scores[found] >= least - 0.04 * np.abs(scores).max()).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_similar_items_are_found_on_the_links_made_for_users(
    home: Path, items: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
):
    """By inner product those links lead to the long vectors, whatever their direction."""
    index = open_index(home, name)
    monkeypatch.setattr("tonnage.index.stored.scan_is_cheaper", lambda *_: False)
    unit, shares = items / np.linalg.norm(items, axis=1, keepdims=True), []
    for row in range(0, ITEMS, 300):
        found, cosines = index.similar(np.array([row], np.int32), 100)
        wanted = np.argpartition(-(unit @ unit[row]), 100)[:100]
        np.testing.assert_allclose(cosines, (unit @ unit[row])[found], atol=0.1)
        shares.append(np.isin(found, wanted).mean())
    assert np.mean(shares) >= 0.9
    # The next user is searched for by inner product again.
    asked = items[:3].sum(axis=0)
    every = np.ones(ITEMS, bool)
    assert np.isin(index.search(asked, 100)[0], exact(items, asked, every, 100)).mean() >= 0.8


@pytest.mark.parametrize("name", GRAPHS)
def test_a_replaced_vector_takes_its_new_place_at_once(home: Path, asked: np.ndarray, name: str):
    index, query = open_index(home, name), asked[0]
    first = int(index.search(query, 1)[0][0])
    index.put(first, -query)
    assert first not in index.search(query, 200)[0]
    index.put(7, query * 100)
    found, scores = index.search(query, 100)
    assert found[0] == 7
    assert scores[0] == pytest.approx(float(query @ query * 100), rel=1e-5)
    assert len(set(found.tolist())) == 100


def test_place_in_the_graph_is_the_item_row(home: Path, asked: np.ndarray):
    """Every answer is read as rows of the item table: one step aside, and all items are others."""
    index = open_index(home, "hnsw-f32")
    assert isinstance(index, StoredIndex)
    assert index._graph is not None
    graph = index._graph._index
    for query in asked:
        found = graph.search(query, 100, threads=1)
        rows = found.keys.astype(np.int32)
        np.testing.assert_allclose(1 - found.distances, index.scores_of(query, rows), rtol=1e-3, atol=1e-4)


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path):
    """The release's id is a digest of them: another id would roll every pod."""
    items = vectors(2_000, 16)

    def digests(home: Path) -> dict[str, str]:
        built(home, items)
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in home.rglob("*") if f.is_file()}

    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_less_memory_is_never_measured_as_more_recall_than_there_is(tmp_path: Path, items: np.ndarray):
    measured = {each.name: each for each in built(tmp_path / "retrieval", items[:3_000])}
    assert [*measured] == [*GRAPHS]
    sizes = [each.resident_bytes for each in measured.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert all(FLOOR <= each.recall_at_100 <= 1 for each in measured.values())
