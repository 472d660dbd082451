"""Spreads compared, and what a comparison may claim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tonnage.deployment.judge import spreads
from tonnage.deployment.judge.evidence import Line, Side, log_evidence
from tonnage.deployment.judge.measurements import Spread

KINDS = 6
COUNTS = hnp.arrays(np.int64, (7, KINDS), elements=st.integers(0, 60))


def spread(counts: np.ndarray, per_slate: int = 10) -> Spread:
    return Spread(-(-counts.sum(axis=1) // per_slate), counts)


def drawn(rng: np.random.Generator, shares: np.ndarray, slates: np.ndarray) -> Spread:
    """Slates of ten like items: what hangs together must not count as ten."""
    kinds = [rng.choice(len(shares), size, p=shares) for size in slates]
    counts = 10 * np.array([np.bincount(each, minlength=len(shares)) for each in kinds])
    return Spread(slates, counts)


@settings(max_examples=50, deadline=None)
@given(stable=COUNTS, canary=COUNTS)
def test_whatever_was_counted_gives_rates_and_a_distance(stable: np.ndarray, canary: np.ndarray):
    here, there = spread(stable), spread(canary)
    for compare in (spreads.ahead, spreads.densest, spreads.disorder):
        tallies = compare(here, there)
        assert (tallies.canary_x <= tallies.canary_n + 1e-9).all()
        assert (tallies.stable_x <= tallies.stable_n + 1e-9).all()
        found = log_evidence(tallies, Line(more=0.3), Side.WORSE, restarting=True)
        assert np.isfinite(found).all()
    assert 0 <= spreads.distance(here, there) <= 1 + 1e-9


@settings(max_examples=30, deadline=None)
@given(stable=COUNTS, canary=COUNTS)
def test_later_windows_do_not_change_what_earlier_ones_proved(stable: np.ndarray, canary: np.ndarray):
    """A set that looks ahead would prove what is not so, and take back what it proved."""
    whole, part = (
        log_evidence(spreads.ahead(spread(stable[:end]), spread(canary[:end])), Line(more=0.3), Side.WORSE)
        for end in (7, 6)
    )
    np.testing.assert_allclose(whole[: len(part)], part, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compare", [spreads.ahead, spreads.densest])
def test_who_looks_at_every_window_finds_a_tolerable_difference_too_large_no_oftener_than_promised(compare):
    """Two hundred rollouts exactly on the line, in both senses at once."""
    rng = np.random.default_rng(30)
    stable, canary = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.7, 0.2, 0.1, 0.0])
    wrong = 0
    for _ in range(200):
        here, there = (drawn(rng, shares, rng.poisson(20, 80)) for shares in (stable, canary))
        found = log_evidence(compare(here, there), Line(more=0.3), Side.WORSE, restarting=True)
        wrong += bool(found.max() >= np.log(20))
    assert wrong <= 10


def test_no_look_takes_a_difference_for_smaller_than_it_is_oftener_than_promised():
    rng = np.random.default_rng(31)
    stable, canary = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    wrong = 0
    for _ in range(200):
        n_s, n_c = rng.poisson(90, 60), rng.poisson(10, 60)
        here, there = drawn(rng, stable, n_s), drawn(rng, canary, n_c)
        looks = (
            spreads.distance(Spread(n_s[:end], here.counts[:end]), Spread(n_c[:end], there.counts[:end]))
            + spreads.radius(n_s[:end].sum(), n_c[:end].sum(), end, alpha=0.05)
            for end in range(1, 61)
        )
        wrong += any(each < 0.4 for each in looks)
    assert wrong <= 10


def test_as_many_slates_as_were_asked_for_pass():
    rng = np.random.default_rng(32)
    shares = np.array([0.5, 0.3, 0.2])
    here, there = drawn(rng, shares, np.full(40, 270)), drawn(rng, shares, np.r_[np.zeros(30, int), [3] * 10])
    seen = spreads.distance(here, there)
    more = spreads.needed_to_pass(spreads.disorder(here, there), seen, 0.4, alpha=0.05)
    assert 10 < more < 200
    assert seen + spreads.radius(90 * (30 + more), 30 + more, 20, alpha=0.05) <= 0.4 + 1e-9


def test_the_same_slate_for_everybody_is_narrow_however_often_it_is_shown():
    wide, narrow = np.full((10, 8), 30), np.zeros((10, 8), int)
    narrow[:, :2] = 120
    assert spreads.effective(spread(wide)) == pytest.approx(8)
    assert spreads.effective(spread(narrow)) == pytest.approx(2)
    here, there = spreads.rates(spreads.densest(spread(wide), spread(narrow)))
    assert (here, there) == (pytest.approx(0.5), pytest.approx(1.0))
