"""What is learned of how wanted items are."""

import numpy as np
import pytest

from tonnage.domain import MAX_CANDIDATES
from tonnage.training import trend
from tonnage.training.demand import COLUMNS
from tonnage.training.trend import Sample, Trend


@pytest.fixture
def samples() -> list[Sample]:
    """Users who take what is to their taste and has many recent buyers, whatever its past."""
    random = np.random.default_rng(3)
    told = random.normal(size=(4000, 1 + len(COLUMNS)))
    recent = 1 + COLUMNS.index("buyers_28")
    odds = told[:, 0] + 2.0 * told[:, recent] + random.logistic(size=4000) - 2.0
    return [(told, (odds > 0).astype(np.float32), np.ones(4000), 1500)]


def test_the_trend_weighs_columns_as_much_as_they_count_beside_taste(samples: list[Sample]) -> None:
    learned = trend.fit(samples)
    assert learned is not None
    weights = dict(zip(COLUMNS, learned.weights.tolist(), strict=True))
    assert weights.pop("buyers_28") == pytest.approx(2.0, abs=0.4)
    assert max(map(abs, weights.values())) < 0.3


def test_a_taste_that_tells_nothing_leaves_the_trend_as_it_was(samples: list[Sample]) -> None:
    """Weights are relative to that of taste: below zero they would turn the order upside down."""
    [(told, taken, weight, size)] = samples
    told[:, 0] *= -1
    assert trend.fit([(told, taken, weight, size)]) is None
    assert trend.fit([]) is None


def test_what_is_not_known_of_an_item_counts_as_usual() -> None:
    learned = Trend(weights=np.ones(len(COLUMNS)), usual=np.full(len(COLUMNS), 0.5))
    columns = np.zeros((2, len(COLUMNS)))
    columns[1, COLUMNS.index("log_price")] = np.nan
    assert np.diff(learned.scores(columns)).tolist() == [0.5]


def test_a_column_that_nothing_is_known_of_is_left_out(samples: list[Sample]) -> None:
    """Data without prices have no log_price at all."""
    price = COLUMNS.index("log_price")
    [(told, taken, weight, size)] = samples
    told[:, 1 + price] = np.nan
    learned = trend.fit([(told, taken, weight, size)])
    assert learned is not None
    assert learned.weights[price] == 0
    assert np.isfinite(learned.usual).all()


def test_a_shop_whose_items_are_all_candidates_keeps_the_trend_it_has(samples: list[Sample]) -> None:
    """The trend decides who is cut off; learned where nobody is, it would only be noise to the ranker."""
    [(told, taken, weight, _)] = samples
    assert trend.fit([(told, taken, weight, MAX_CANDIDATES)]) is None
