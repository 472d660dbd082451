"""What the sources answer, against the same thing said slowly."""

import numpy as np
import pytest

from tonnage.features.sources import PROPOSED, USUAL, Popularity, best, co_purchase, distinct, long_run, merge

ITEMS, NEIGHBOURS = 3000, 60


def plainly(neighbours, weights_of, history, weights):
    """Scores of co-purchase by item row, one addition after the other."""
    scores = {}
    for row, weight in zip(history, weights, strict=True):
        if row < 0:
            continue
        for item, strength in zip(neighbours[row], weights_of[row], strict=True):
            if item >= 0:
                scores[int(item)] = scores.get(int(item), 0.0) + float(np.float32(strength * weight))
    return {item: np.float32(score) for item, score in scores.items()}


@pytest.mark.parametrize("length", [0, 1, 7, 120])
def test_co_purchase_adds_up_what_each_item_brings(length):
    """The same number to the last bit: the ranker was taught with it."""
    random = np.random.default_rng(length)
    neighbours = random.integers(-1, ITEMS, (ITEMS, NEIGHBOURS)).astype(np.int32)
    strengths = random.random((ITEMS, NEIGHBOURS)).astype(np.float32)
    history = random.integers(-1, ITEMS, length).astype(np.int32)
    weights = random.random(length).astype(np.float32)
    expected = plainly(neighbours, strengths, history, weights)
    rows, scores = co_purchase(neighbours, strengths, history, weights)
    assert len(set(rows.tolist())) == len(rows) == len(expected)
    np.testing.assert_array_equal(scores, [expected[row] for row in rows.tolist()])


@pytest.mark.parametrize("count", [0, 3, PROPOSED + 500])
def test_the_best_are_those_of_the_highest_scores_that_may_come(count):
    random = np.random.default_rng(count)
    found = random.permutation(ITEMS)[:count].astype(np.int32), random.random(count).astype(np.float32)
    allowed = random.random(ITEMS) < 0.9
    expected = sorted((-score, row) for row, score in zip(*found, strict=True) if allowed[row])[:PROPOSED]
    rows, scores = best(found, allowed)
    assert sorted(zip(-scores, rows, strict=True)) == expected


def test_a_source_scores_what_only_others_propose_and_adds_nothing_to_the_pool():
    """A candidate that co-purchase knows, though not among its best, must not look unknown to it."""
    nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    known = np.array([0, 2, 7, 9], np.int32), np.array([1, 2, 3, 4], np.float32)
    candidates = merge([nothing, nothing, known, nothing], pool=np.array([7, 5, 2, 5], np.int32))
    scores = dict(zip(candidates.rows.tolist(), candidates.scores[:, 2].tolist(), strict=True))
    assert scores.keys() == {2, 5, 7}
    assert scores[7] == pytest.approx(1.5 * scores[2])
    assert np.isnan(scores[5])


def test_of_an_empty_pool_nothing_is_scored():
    """A filter may bar everything that a source knows."""
    known = np.array([0, 2], np.int32), np.ones(2, np.float32)
    assert len(merge([known] * 4, pool=np.empty(0, np.int32)).rows) == 0


@pytest.mark.parametrize("rows", [[], [5], [3, 1, 3, 2, 1, 1]])
def test_distinct_rows_come_once_and_ascending(rows):
    found = distinct(np.array(rows, np.int32))
    assert found.dtype == np.int32
    assert found.tolist() == sorted(set(rows))


@pytest.mark.parametrize(("length", "gains"), [(1, True), (USUAL - 1, None), (400, False)])
def test_a_short_history_leans_to_what_was_always_wanted(length, gains):
    """Of a user who had one thing little is known; what everybody had is the better guess."""
    buyers = np.array([0, 3, 20, 900], np.float32)
    usual = np.ones(4, np.float32)
    scores = Popularity(usual=usual, long_run=long_run(buyers), length=length)[np.arange(4)]
    assert scores[0] == 1, "an item that nobody had is neither wanted nor unwanted"
    assert (scores[3] > scores[1]) == bool(gains)
    assert (scores[3] < scores[1]) == (gains is False)
