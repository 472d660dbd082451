"""What the canary's judge promises about chance, on simulated rollouts."""

import numpy as np
import pytest
from loadtests.drills.rollouts import (
    HISTORY,
    Behaviour,
    good_slates,
    narrow_slates,
    observed,
    until,
)

from tonnage.deployment.judge.config import JudgeConfig
from tonnage.deployment.judge.evidence import Line, Side, Tallies, log_evidence
from tonnage.deployment.judge.judging import judge
from tonnage.deployment.judge.verdict import Outcome

CONFIG = JudgeConfig()
STABLE = Behaviour(requests=270, errors=0.002, fallbacks=0.01)
EQUAL = Behaviour(requests=30, errors=0.002, fallbacks=0.01)


@pytest.mark.parametrize("side", Side)
def test_whoever_looks_at_every_window_is_wrong_no_oftener_than_promised(side: Side):
    """Two hundred rollouts exactly on the line, two hundred looks each."""
    rng = np.random.default_rng(20)
    line, stable, alpha = Line(ratio=1.5, more=0.005), 0.02, 0.05
    wrong = 0
    for _ in range(200):
        n_s, n_c = rng.poisson(60, 200), rng.poisson(20, 200)
        canary = float(line.beside(np.array(stable)))
        seen = Tallies(n_s, rng.binomial(n_s, stable), n_c, rng.binomial(n_c, canary))
        found = log_evidence(seen, line, side, restarting=side is Side.WORSE)
        wrong += bool(found.max() >= -np.log(alpha))
    assert wrong <= 200 * alpha


def test_a_canary_equal_to_stable_is_hardly_ever_failed():
    """A fail once found stands, so one judgement at the end sees what every look would have seen."""
    rng = np.random.default_rng(21)
    outcomes = [judge(observed(rng, STABLE, EQUAL, windows=60), CONFIG).outcome for _ in range(100)]
    assert outcomes.count(Outcome.FAIL) <= 5


def test_as_many_requests_as_were_asked_for_decide():
    rng = np.random.default_rng(22)
    decided = []
    for _ in range(60):
        whole = observed(rng, STABLE, EQUAL, windows=250)
        first = judge(until(whole, HISTORY + 3), CONFIG)
        assert first.needs is not None
        windows = HISTORY + 3 + int(np.ceil(first.needs / EQUAL.requests))
        decided.append(judge(until(whole, windows), CONFIG).outcome is Outcome.PASS)
    assert np.mean(decided) >= 0.9


@pytest.mark.parametrize(
    ("canary", "windows"),
    [
        (Behaviour(requests=30, errors=0.05), 4),
        (Behaviour(requests=30, median_s=0.036), 12),
        (Behaviour(requests=30, empty=1.0), 12),
        (Behaviour(requests=30, slates=good_slates(agreement=0.2)), 12),
        (Behaviour(requests=30, slates=narrow_slates()), 12),
    ],
    ids=["errs on 5 %", "twice as slow", "shows nothing", "turns the order round", "shows all the same"],
)
def test_a_bad_canary_fails_in_time(canary: Behaviour, windows: int):
    """Thirty requests a second, a tenth of them the canary's, ten seconds a window."""
    rng = np.random.default_rng(23)
    seen = [observed(rng, Behaviour(requests=270), canary, windows=windows) for _ in range(40)]
    assert sum(judge(each, CONFIG).outcome is Outcome.FAIL for each in seen) >= 36


def test_a_model_that_differs_as_a_good_one_may_passes():
    """A new model is there to be different: a third of other items, and less bound to what was promised."""
    rng = np.random.default_rng(24)
    new = Behaviour(requests=30, slates=good_slates(mixed=0.6, agreement=0.88))
    seen = [observed(rng, Behaviour(requests=270), new, windows=90) for _ in range(20)]
    assert [judge(each, CONFIG).outcome for each in seen].count(Outcome.PASS) >= 19
