"""Whatever the filter and whatever was replaced, an exact search answers as scoring every item would."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories.vectors import queries, vectors

from tonnage.errors import InputError, NotFoundError
from tonnage.index import Index, build, open_index, variants_for
from tonnage.telemetry import Silent

ITEMS, DIMENSIONS = 200, 9
EXACT = [name for name in variants_for(ITEMS) if name != "exact-i8half"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("retrieval")
    items = vectors(ITEMS, DIMENSIONS)
    np.save(home / "item_vectors.npy", items)
    build(items, home, queries=queries(items, 20), progress=Silent())
    return home


rows = st.lists(st.integers(0, ITEMS - 1), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(variants_for(ITEMS)),
    k=st.sampled_from([0, 1, 7, ITEMS - 1, ITEMS, 10 * ITEMS]),
    share=st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]),
    exclude=rows,
    replaced=rows,
    seed=st.integers(0, 2**16),
)
def test_a_search_is_what_scoring_every_item_that_may_come_gives(
    home: Path,
    name: str,
    k: int,
    share: float | None,
    exclude: list[int],
    replaced: list[int],
    seed: int,
):
    index, random = open_index(home, name), np.random.default_rng(seed)
    allowed = None if share is None else random.random(ITEMS) < share
    for row in replaced:
        index.put(row, random.normal(size=DIMENSIONS).astype(np.float32))
    query = (random.normal(size=DIMENSIONS) * 10.0 ** random.integers(-3, 4)).astype(np.float32)
    everything = np.arange(ITEMS, dtype=np.int32)
    truth = index.vectors(everything) @ query
    may = np.ones(ITEMS, bool) if allowed is None else allowed.copy()
    may[exclude] = False
    found, scores = index.search(query, k, allowed, np.array(exclude, np.int32))
    assert len(found) == min(k, may.sum())
    assert len(set(found.tolist())) == len(found)
    assert may[found].all()
    np.testing.assert_allclose(scores, truth[found], rtol=1e-3, atol=1e-4 * np.abs(truth).max())
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(
        index.scores_of(query, found), scores, rtol=1e-4, atol=1e-5 * np.abs(truth).max()
    )
    if name in EXACT or len(found) == may.sum():
        expected = np.sort(truth[may])[::-1][: len(found)]
        np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4 * np.abs(truth).max())


@pytest.mark.parametrize("name", variants_for(ITEMS))
def test_similar_items_are_the_nearest_in_direction_not_the_longest(home: Path, name: str):
    index = open_index(home, name)
    every = index.vectors(np.arange(ITEMS, dtype=np.int32))
    unit = every / np.linalg.norm(every, axis=1, keepdims=True)
    for row in range(0, ITEMS, 20):
        found, cosines = index.similar(np.array([row], np.int32), 10)
        assert found[0] == row or name not in EXACT
        np.testing.assert_allclose(
            cosines, (unit @ unit[row])[found], atol=0.05 if name not in EXACT else 1e-4
        )
        found, _ = index.similar(np.array([row], np.int32), 10, exclude=np.array([row], np.int32))
        assert row not in found
        assert len(found) == 10


def test_the_mean_direction_of_opposites_is_no_direction(home: Path):
    """Dividing by its length would fill the answer with NaN."""
    index = open_index(home, "exact-f32")
    vector = np.ones(DIMENSIONS, np.float32)
    index.put(0, vector)
    index.put(1, -vector)
    assert np.isfinite(index.similar(np.array([0, 1], np.int32), 5)[1]).all()


def test_a_search_that_runs_keeps_the_vectors_it_began_with(home: Path):
    """Threads that search while another replaces must never see half of it."""
    index = open_index(home, "exact-f32")
    before = index.__dict__["_overlay"]
    index.put(5, np.ones(DIMENSIONS, np.float32))
    assert not len(before.rows)


@pytest.mark.parametrize(
    ("row", "vector"),
    [
        (0, np.ones(DIMENSIONS + 1)),
        (0, np.full(DIMENSIONS, np.nan)),
        (0, np.full(DIMENSIONS, np.inf)),
        (-1, np.ones(DIMENSIONS)),
        (ITEMS, np.ones(DIMENSIONS)),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(home: Path, row: int, vector: np.ndarray):
    index: Index = open_index(home, "exact-f32")
    with pytest.raises(InputError):
        index.put(row, vector.astype(np.float32))


def test_an_unknown_variant_and_one_that_was_not_made_are_told_apart(home: Path):
    with pytest.raises(InputError, match="exact-f32"):
        open_index(home, "exact-f64")
    with pytest.raises(NotFoundError, match="exact-f32"):
        open_index(home, "hnsw-f32")
