"""The pure decisions about one slate."""

import numpy as np
import pytest
from tests.factories.release import release

from tonnage.domain import Candidates
from tonnage.serving.candidates import Pool
from tonnage.serving.catalogue import NO_ROWS, Catalogue, Filters
from tonnage.serving.slates import best, place, reasons

NAN = np.nan


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return Catalogue.of(release(tmp_path_factory.mktemp("releases")))


def test_the_best_come_first_and_ties_keep_their_order():
    """An unstable order would make two equal requests answer differently."""
    assert best(np.array([1, 3, 3, 2], np.float32), 3).tolist() == [1, 2, 3]
    assert best(np.empty(0, np.float32), 3).tolist() == []


def test_reasons_are_what_moved_an_item_most_either_way():
    contributions = np.array([[0.1, -0.9, 0.0, 0.5, 7.0]], np.float32)
    named = reasons(contributions, ["a", "b", "c", "d"])[0]
    assert [name for name, _ in named] == ["b", "d", "a"]
    assert named[0][1] == pytest.approx(-0.9)


def test_a_placed_item_names_its_sources_and_title(catalogue):
    scores = np.array([[0.5, NAN, NAN, 1.0], [NAN, 2.0, NAN, NAN]], np.float32)
    candidates = Candidates(rows=np.array([4, 9], np.int32), scores=scores)
    pool = Pool(candidates=candidates, proposed=~np.isnan(scores))
    placed = place(pool, np.array([1, 2], np.float32), np.array([1, 0], np.int32), catalogue)
    assert [each.item for each in placed] == ["10009", "10004"]
    assert [each.sources for each in placed] == [["repeats"], ["vectors", "trend"]]
    assert placed[0].title == "GARDEN THING 9"
    assert [each.position for each in placed] == [1, 0]


def test_filters_agree_with_the_item_table(catalogue):
    every = np.arange(len(catalogue), dtype=np.int32)
    titles = catalogue.titles_of(every)
    barred = np.array([2, 5, -1], np.int32)
    allowed = catalogue.allowed(Filters(category="toys", price_min=5, price_max=10), barred)
    rows = every[allowed[every]]
    assert len(rows) > 0
    for row in every.tolist():
        fits = titles[row].startswith("TOYS") and 5 <= catalogue.prices[row] <= 10
        assert (row in rows) == (fits and row not in (2, 5))


def test_a_category_that_the_release_lacks_has_no_items(catalogue):
    every = np.arange(len(catalogue), dtype=np.int32)
    assert not catalogue.allowed(Filters(category="boats"), NO_ROWS)[every].any()
    assert catalogue.allowed(Filters(), np.array([-1], np.int32)) is None


def test_unknown_items_are_told_once(catalogue):
    assert catalogue.unknown(["x", "10000", "y", "x"]) == ["x", "y"]
    assert catalogue.rows(["x", "10003"]).tolist() == [-1, 3]
