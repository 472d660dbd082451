"""Intervals of shares and quantiles: as wide as they must be, also where slow moments come together."""

import numpy as np
import pytest

from tonnage.load.estimates import quantile, share


def _calm(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return np.sort(random.uniform(0, 60, 3000)), random.lognormal(3, 0.5, 3000)


def _bursty(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """In a quarter of all seconds, drawn apart, everything takes twice as long."""
    at_s, ms = _calm(random)
    slow = random.random(60) < 0.25
    return at_s, np.where(slow[at_s.astype(int)], 2 * ms, ms)


@pytest.mark.parametrize("level", [0.5, 0.99])
@pytest.mark.parametrize("weather", [_calm, _bursty])
def test_an_interval_holds_the_truth_as_often_as_it_says(weather: object, level: float) -> None:
    """Were requests of one burst counted as drawn apart, it would be held half as often."""
    assert callable(weather)
    random = np.random.default_rng(4)
    truth = np.quantile(np.concatenate([weather(random)[1] for _ in range(500)]), level)
    found = [quantile(ms, at_s, level, certainty=0.95) for at_s, ms in (weather(random) for _ in range(200))]
    held = sum(each.low <= truth <= each.high for each in found)
    assert held >= 178  # 190 expected


def test_none_of_few_requests_still_leaves_a_share_open() -> None:
    """The rule of three: none of a hundred may be three of a hundred."""
    none = share(np.zeros(100, dtype=bool), np.arange(100.0), certainty=0.95)
    assert none.low == none.value == 0
    assert 0.03 < none.high < 0.04


def test_few_requests_do_not_bound_a_high_quantile() -> None:
    values = np.arange(1.0, 201.0)
    found = quantile(values, np.arange(200.0), 0.99, certainty=0.95)
    assert found.value == 198
    assert found.high == float("inf")


def test_one_request_is_its_own_quantile() -> None:
    one = np.array([7.0])
    assert quantile(one, np.array([0.0]), 0.5, certainty=0.95).value == 7
    assert share(np.array([True]), np.array([0.0]), certainty=0.95).value == 1
