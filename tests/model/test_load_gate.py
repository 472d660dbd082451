"""How often the comparison of runs errs, on simulated releases."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tests.factories.load_run import Made

from tonnage.deployment.judge.verdict import Outcome
from tonnage.load.paired import compare, judge
from tonnage.load.slo import Slo

SLO = Slo.read({"latency": {"at_most_ms": {"p50": 1000, "p95": 1000, "p99": 1000}}}, where="a simulation")

NOISE = {"p50_ms": 0.05, "p95_ms": 0.08, "p99_ms": 0.15, "cpu_ms_per_answer": 0.04, "memory_peak": 0.02}
"""How much runs of one release differ on one machine, as standard deviations of logarithms."""

WEATHER = 0.2
"""The same of what a pair of neighbours shares."""


def _run(random: np.random.Generator, weather: float, slower: float) -> Mapping[str, float]:
    luck = random.normal()
    figures = {
        # What makes a run slow makes all its quantiles slow, though not alike.
        name: float(np.exp(weather + noise * (0.7 * luck + 0.7 * random.normal())))
        for name, noise in NOISE.items()
    }
    timed = {name: value * (1.0 if name == "memory_peak" else slower) for name, value in figures.items()}
    return {**timed, "errors": random.binomial(5000, 2e-4) / 5000, "refused": 0.0}


def _outcomes(pairs: int, *, slower: float, times: int) -> list[Outcome]:
    random = np.random.default_rng(2)
    return [
        judge(
            [
                (_run(random, weather, slower), _run(random, weather, 1.0))
                for weather in random.normal(0, WEATHER, pairs)
            ],
            SLO,
        ).outcome
        for _ in range(times)
    ]


def test_an_equal_release_passes_19_times_of_20() -> None:
    outcomes = _outcomes(5, slower=1.0, times=1000)
    assert outcomes.count(Outcome.PASS) >= 950
    assert outcomes.count(Outcome.FAIL) <= 20


def test_with_the_fewest_pairs_an_equal_release_does_not_fail_oftener() -> None:
    """It may be told to take more pairs; it is not accused."""
    assert _outcomes(3, slower=1.0, times=1000).count(Outcome.FAIL) <= 20


def test_a_release_twice_as_slow_fails_19_times_of_20_and_never_passes() -> None:
    outcomes = _outcomes(5, slower=2.0, times=500)
    assert outcomes.count(Outcome.FAIL) >= 475
    assert outcomes.count(Outcome.PASS) == 0


def test_runs_of_requests_tell_the_same_as_figures(tmp_path: Path) -> None:
    """From rows to a verdict: twenty equal releases, and one that is half as fast again as slow."""
    random = np.random.default_rng(3)

    def verdict(name: str, slower: float) -> Outcome:
        new, kept = [], []
        for number, weather in enumerate(np.exp(random.normal(0, WEATHER, 5))):
            for runs, by, later in ((new, slower, 0), (kept, 1.0, 2)):
                median = 20 * weather * by * float(np.exp(random.normal(0, 0.05)))
                made = Made(
                    seed=int(random.integers(2**31)), seconds=60, median_ms=median, began=5 * number + later
                )
                runs.append(made.write(tmp_path / name / f"{number}-{later}"))
        return compare(new, kept, SLO).outcome

    assert [verdict(str(each), 1.0) for each in range(20)].count(Outcome.PASS) >= 19
    assert verdict("slow", 1.5) is Outcome.FAIL
