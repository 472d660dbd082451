"""A search looks as far as what it is asked for needs, and no farther."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.vectors import queries, vectors

from tonnage.index import build, open_index
from tonnage.index.search import expansion_of
from tonnage.index.stored import DESCRIPTION, Effort, Layout, layouts
from tonnage.telemetry import Silent

FIRST, DEEPEST = Effort(depth=100, expansion=200), Effort(depth=500, expansion=900)


@pytest.mark.parametrize(
    ("k", "effort"), [(1, FIRST), (100, FIRST), (101, DEEPEST), (500, DEEPEST), (9_000, DEEPEST)]
)
def test_a_search_takes_the_effort_of_the_least_depth_that_covers_it(k: int, effort: Effort):
    assert Layout(file="", lengths="", scale=1.0, efforts=(FIRST, DEEPEST)).effort(k) is effort


@given(
    tuned=st.integers(0, 5_000),
    fetch=st.integers(1, 5_000),
    items=st.integers(1, 10**7),
    share=st.floats(1e-6, 1),
)
def test_a_filter_never_makes_a_graph_keep_fewer(tuned: int, fetch: int, items: int, share: float):
    """Behind a filter lie deeper items than those that the effort was tuned to find."""
    fetch, allowed = min(fetch, items), max(1, int(share * items))
    plain = expansion_of(tuned, fetch=fetch, items=items, allowed=items)
    filtered = expansion_of(tuned, fetch=fetch, items=items, allowed=allowed)
    assert fetch <= plain <= filtered <= max(items, fetch)


def test_a_graph_is_tuned_for_each_depth(tmp_path: Path):
    items = vectors(3_000, 16)
    np.save(tmp_path / "item_vectors.npy", items)
    build(items, tmp_path, variants=["hnsw-i8"], queries=queries(items, 20), progress=Silent())
    assert [each.depth for each in layouts(tmp_path)["hnsw-i8"].efforts] == [100, 500]


def test_a_release_with_one_effort_for_every_depth_is_still_served(tmp_path: Path):
    """A rollback brings releases back that were written before depths were told apart."""
    items = vectors(3_000, 16)
    np.save(tmp_path / "item_vectors.npy", items)
    build(items, tmp_path, variants=["hnsw-i8"], queries=queries(items, 20), progress=Silent())
    told = json.loads((tmp_path / DESCRIPTION).read_text())
    del told["hnsw-i8"]["efforts"]
    old = told | {"hnsw-i8": told["hnsw-i8"] | {"expansion": 512, "again": 1}}
    (tmp_path / DESCRIPTION).write_text(json.dumps(old))
    assert layouts(tmp_path)["hnsw-i8"].effort(100).expansion >= 612
    assert len(open_index(tmp_path, "hnsw-i8").search(items[0], 100)[0]) == 100
