"""Runs beside kept ones: what is a pair, what is a regression, what tells nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.factories.load_run import Made

from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.load.paired import compare, judge
from tonnage.load.runs import Run
from tonnage.load.slo import Slo

SLO = Slo.read(
    {"requests": {"least_seconds": 30}, "latency": {"at_most_ms": {"p50": 1000, "p99": 1000}}}, where="a test"
)


def runs_of(folder: Path, minutes: Sequence[float], **made: Any) -> list[Run]:
    return [
        Made(**{"seed": int(at), "seconds": 60, "began": at, **made}).write(folder / f"at-{at:g}")
        for at in minutes
    ]


def reasons(verdict: Verdict) -> str:
    return " | ".join(verdict.reasons)


def test_a_release_twice_as_slow_fails_though_every_limit_holds(tmp_path: Path) -> None:
    """A second is allowed; that twenty milliseconds became forty is the news."""
    kept = runs_of(tmp_path / "kept", [0, 20, 40])
    slow = runs_of(tmp_path / "new", [10, 30, 50], median_ms=40)
    verdict = compare(slow, kept, SLO)
    assert verdict.outcome is Outcome.FAIL
    assert "p50_ms: 1.96 times" in reasons(verdict)
    assert compare(kept, slow, SLO).outcome is Outcome.PASS


def test_a_day_that_is_slower_for_both_is_no_regression(tmp_path: Path) -> None:
    """Absolute numbers would blame the release for the neighbour on its machine."""
    kept, new = [], []
    for number, weather in enumerate([1.0, 1.8, 0.7, 1.3, 2.5]):
        kept += runs_of(tmp_path / "kept", [20 * number], median_ms=20 * weather)
        new += runs_of(tmp_path / "new", [20 * number + 10], median_ms=20 * weather)
    assert compare(new, kept, SLO).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("new", "kept", "made", "says"),
    [
        ([10, 30], [0, 20], {}, "pairs of runs: 2, at least 3"),
        ([10, 30, 50], [0, 20], {}, "3 runs and 2 kept ones make no pairs"),
        ([60, 70, 80], [0, 10, 20], {}, "not taken in turn"),
        ([10, 30, 50], [0, 20, 40], {"facts": {"users": 80}}, "not of the same load: users 40, 80"),
        ([10, 30, 50], [0, 20, 40], {"generator": {"cpu_share_mean": 1.0}}, "the generator was saturated"),
        ([10, 30, 50], [0, 20, 40], {"errors": 1.0}, "p99_ms: known of 0 of 3 pairs only"),
    ],
)
def test_what_makes_no_comparison_is_an_error_that_says_why(
    tmp_path: Path, new: list[int], kept: list[int], made: dict[str, Any], says: str
) -> None:
    verdict = compare(runs_of(tmp_path / "new", new, **made), runs_of(tmp_path / "kept", kept), SLO)
    assert says in " | ".join(each.check + ": " + each.reason for each in verdict.findings)
    assert verdict.outcome is (Outcome.FAIL if "errors" in made else Outcome.ERROR)


def test_a_run_is_no_comparison_for_itself(tmp_path: Path) -> None:
    """It would always pass."""
    kept = runs_of(tmp_path / "kept", [0, 20, 40])
    assert "compared with itself" in reasons(compare([Run(each.folder) for each in kept], kept, SLO))


def test_runs_of_another_day_are_compared_only_when_that_is_asked_for(tmp_path: Path) -> None:
    kept, new = runs_of(tmp_path / "kept", [0, 10, 20]), runs_of(tmp_path / "new", [5000, 5010, 5020])
    later = SLO.model_copy(update={"against": SLO.against.model_copy(update={"in_turn": False})})
    assert compare(new, kept, SLO).outcome is Outcome.ERROR
    assert compare(new, kept, later).outcome is Outcome.PASS


def test_pairs_that_differ_wildly_say_how_many_would_tell() -> None:
    """Passing them would hide a release twice as slow behind the noise."""
    figures = {"p50_ms": 20.0, "errors": 0.0, "refused": 0.0}
    pairs = [({**figures, "p99_ms": 100 * by}, {**figures, "p99_ms": 100.0}) for by in (0.5, 2.2, 0.9, 1.6)]
    verdict = judge(pairs, SLO)
    assert verdict.outcome is Outcome.ERROR
    assert "p99_ms: " in reasons(verdict)
    assert "pairs would tell" in reasons(verdict)


def test_more_processor_time_or_memory_or_bad_answers_is_a_regression_too() -> None:
    good = {"p50_ms": 20.0, "p99_ms": 60.0, "errors": 0.0, "refused": 0.0}
    good |= {"cpu_ms_per_answer": 5.0, "memory_peak": 3e8}
    for name, worse in (("cpu_ms_per_answer", 8.0), ("memory_peak", 4e8), ("errors", 0.01)):
        pairs = [({**good, name: worse * wobble}, good) for wobble in (0.99, 1.0, 1.01, 1.0)]
        verdict = judge(pairs, SLO)
        assert verdict.outcome is Outcome.FAIL
        assert len(verdict.reasons) == 1
