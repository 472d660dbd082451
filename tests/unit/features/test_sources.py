"""What the sources answer, against the same thing said slowly."""

import numpy as np
import pytest

from tonnage.features.sources import PROPOSED, co_purchase, distinct

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
    assert len(set(rows.tolist())) == len(rows) == min(len(expected), PROPOSED)
    np.testing.assert_array_equal(scores, [expected[row] for row in rows.tolist()])
    worst = sorted(expected.values(), reverse=True)[: len(rows)]
    np.testing.assert_array_equal(np.sort(scores)[::-1], np.array(worst, np.float32))


def test_co_purchase_proposes_only_what_may_come():
    neighbours = np.array([[1, 2, 3]] * 4, np.int32)
    allowed = np.array([True, False, True, False])
    rows, scores = co_purchase(
        neighbours, np.ones((4, 3), np.float32), np.array([0]), np.ones(1, np.float32), allowed=allowed
    )
    assert (rows.tolist(), scores.tolist()) == ([2], [1.0])


@pytest.mark.parametrize("rows", [[], [5], [3, 1, 3, 2, 1, 1]])
def test_distinct_rows_come_once_and_ascending(rows):
    found = distinct(np.array(rows, np.int32))
    assert found.dtype == np.int32
    assert found.tolist() == sorted(set(rows))
