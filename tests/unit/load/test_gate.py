"""The gate: every fault with its own reason, and no verdict where nothing was measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.factories.load_run import MIB, Made, pod_rows

from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.load.gate import judge
from tonnage.load.slo import Slo

SLO = Slo.read(
    {
        "requests": {"warm_up_s": 10},
        "latency": {"at_most_ms": {"p50": 30, "p99": 80}},
        "server": {
            "memory_share": 0.9,
            "oom_kills": 0,
            "restarts": 0,
            "throttled_share": 0.25,
            "leak_horizon_s": 14_400,
        },
    },
    where="a test",
)


def verdict_of(folder: Path, slo: Slo = SLO, **made: Any) -> Verdict:
    return judge(Made(**made).write(folder / "run"), slo)


def outcome_of(check: str, verdict: Verdict) -> Outcome:
    (found,) = [each.outcome for each in verdict.findings if each.check == check]
    return found


def test_a_good_run_passes_every_check_and_tells_its_figures(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path)
    assert verdict.outcome is Outcome.PASS, verdict.reasons
    assert "p99: " in " ".join(verdict.reasons)
    # Two minutes foretell nothing of four hours; that is said, not passed over.
    assert outcome_of("leak", verdict) is Outcome.NOT_JUDGED


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"median_ms": 40}, "p50: "),
        ({"errors": 0.01}, "errors: "),
        ({"refused": 0.05}, "refused: "),
        ({"pods": pod_rows(120, memory_working_set=480 * MIB)}, "memory: pod shop-stable-ranker-0 used 480"),
        ({"pods": pod_rows(120, oom_killed=lambda at_s: at_s > 60)}, "OOMKills: OOMKilled: shop-stable"),
        ({"pods": pod_rows(120, restarts=lambda at_s: 3 + (at_s > 60))}, "restarts: 1: shop-stable-ranker-0"),
        ({"pods": pod_rows(120, throttled=lambda at_s: int(5 * at_s))}, "throttling: pod shop-stable-rank"),
    ],
)
def test_each_fault_fails_for_its_own_reason_alone(tmp_path: Path, made: dict[str, Any], reason: str) -> None:
    verdict = verdict_of(tmp_path, **made)
    assert verdict.outcome is Outcome.FAIL
    assert any(each.startswith(reason) for each in verdict.reasons)
    if "pods" in made:
        assert len(verdict.reasons) == 1


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"generator": {"cpu_share_mean": 0.9}}, "generator: the generator was saturated"),
        ({"generator": {"cpu_share_max": 1.0}}, "generator: the generator was saturated"),
        ({"seconds": 50, "rate": 100}, "length: 40 s after 10 s of warm-up"),
        ({"rate": 5}, "requests: "),
        ({"facts": {"interrupted": True}}, "interrupted: "),
        ({"rate": 0}, "requests: 0"),
    ],
)
def test_a_run_that_proves_nothing_is_an_error_however_slow_it_was(
    tmp_path: Path, made: dict[str, Any], reason: str
) -> None:
    """A generator that is too busy makes any server look slow, and no server is to be blamed for it."""
    verdict = verdict_of(tmp_path, median_ms=100, **made)
    assert verdict.outcome is Outcome.ERROR
    assert any(each.startswith(reason) for each in verdict.reasons)


def test_a_killed_pod_fails_whoever_asked(tmp_path: Path) -> None:
    """No generator is to be blamed for that."""
    verdict = verdict_of(tmp_path, generator={"cpu_share_mean": 1.0}, pods=pod_rows(120, oom_killed=True))
    assert verdict.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("pods", "unknown"),
    [
        (None, {"memory", "OOMKills", "restarts", "throttling", "leak"}),
        (pod_rows(30), {"memory", "OOMKills", "restarts", "throttling", "leak"}),
        (pod_rows(120, memory_working_set=None), {"memory"}),
        (pod_rows(120, memory_limit=0), {"memory"}),
        (pod_rows(120, periods=None, throttled=None), {"throttling"}),
    ],
)
def test_what_was_not_sampled_is_an_error_where_it_is_demanded(
    tmp_path: Path, pods: Any, unknown: set[str]
) -> None:
    verdict = verdict_of(tmp_path, pods=pods)
    assert verdict.outcome is Outcome.ERROR
    assert {each.check for each in verdict.findings if each.outcome is Outcome.ERROR} == unknown
    lenient = SLO.model_copy(update={"server": type(SLO.server)()})
    assert verdict_of(tmp_path / "again", lenient, pods=pods).outcome is Outcome.PASS


def test_a_pod_that_has_just_begun_need_not_be_measured_yet(tmp_path: Path) -> None:
    """An autoscaler adds pods at any time, and a kubelet measures every quarter of a minute."""
    unmeasured = {"memory_working_set": None, "cpu_s": None, "periods": None, "throttled": None}
    late = [row for row in pod_rows(120, pod="late", **unmeasured) if row["at_s"] > 100]
    assert verdict_of(tmp_path, pods=pod_rows(120) + late).outcome is Outcome.PASS


def test_samples_that_end_long_before_the_run_do_not_speak_for_it(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, seconds=600, pods=pod_rows(300))
    assert outcome_of("OOMKills", verdict) is Outcome.ERROR


def test_only_the_bentos_of_the_objective_are_judged(tmp_path: Path) -> None:
    only = SLO.model_copy(update={"server": SLO.server.model_copy(update={"bentos": ("ranker",)})})
    pods = pod_rows(120) + pod_rows(120, pod="another", bento="retriever", restarts=lambda at_s: at_s > 60)
    assert verdict_of(tmp_path, pods=pods).outcome is Outcome.FAIL
    assert verdict_of(tmp_path / "again", only, pods=pods).outcome is Outcome.PASS


def test_a_pod_that_came_during_the_run_counts_its_restarts_from_none(tmp_path: Path) -> None:
    late = [row for row in pod_rows(120, pod="late", restarts=1) if row["at_s"] > 30]
    assert outcome_of("restarts", verdict_of(tmp_path, pods=pod_rows(120, restarts=7) + late)) is Outcome.FAIL
    assert (
        outcome_of("restarts", verdict_of(tmp_path / "again", pods=pod_rows(120, restarts=7))) is Outcome.PASS
    )


def test_slow_requests_of_the_warm_up_are_left_out(tmp_path: Path) -> None:
    run = Made(errors=0).write(tmp_path / "run")
    slow = run.requests.to_pandas()
    slow.loc[slow["at_s"] < 10, "ms"] = 5_000
    run.__dict__["requests"] = type(run.requests).from_pandas(slow)
    assert judge(run, SLO).outcome is Outcome.PASS


def test_an_objective_that_must_surely_hold_needs_room_for_chance(tmp_path: Path) -> None:
    """80 ms holds for p99 as seen, but the interval reaches beyond it."""
    run = Made().write(tmp_path / "run")
    seen = float(np.quantile(run.requests["ms"].to_numpy(), 0.99))
    limits = {"at_most_ms": {"p99": seen * 1.03}}
    as_seen = SLO.model_copy(update={"latency": type(SLO.latency)(**limits)})
    surely = SLO.model_copy(update={"latency": type(SLO.latency)(**limits, surely=True)})
    assert judge(run, as_seen).outcome is Outcome.PASS
    assert judge(run, surely).outcome is Outcome.FAIL


def test_a_slow_leak_fails_a_soak_and_says_when_the_limit_is_reached(tmp_path: Path) -> None:
    """Two MiB in a minute: no share of the limit shows it within a quarter of an hour."""
    verdict = verdict_of(tmp_path, seconds=900, pods=pod_rows(900, growth_mib_per_h=120))
    assert verdict.outcome is Outcome.FAIL
    (reason,) = verdict.reasons
    assert reason.startswith("leak: pod shop-stable-ranker-0 leaks memory")


def test_memory_that_only_wanders_or_fills_up_is_no_leak(tmp_path: Path) -> None:
    """Else one soak in a few fails for nothing, and nobody believes the next."""
    failed = [
        seed
        for seed in range(40)
        if verdict_of(tmp_path / str(seed), rate=2, seconds=900, pods=pod_rows(900, seed=seed)).outcome
        is Outcome.FAIL
    ]
    assert len(failed) <= 1
    filling = pod_rows(900, memory_working_set=lambda at_s: int((400 - 100 * np.exp(-at_s / 150)) * MIB))
    assert outcome_of("leak", verdict_of(tmp_path, seconds=900, pods=filling)) is Outcome.PASS


def test_the_same_run_always_gives_the_same_verdict(tmp_path: Path) -> None:
    run = Made(errors=0.002).write(tmp_path / "run")
    assert judge(run, SLO) == judge(run, SLO)


def test_an_objective_for_other_requests_names_those_that_there_are(tmp_path: Path) -> None:
    """A mistyped name must not look like a run that was too short."""
    other = SLO.model_copy(update={"requests": type(SLO.requests)(names=("slates",))})
    verdict = verdict_of(tmp_path, other)
    assert verdict.outcome is Outcome.ERROR
    assert "the run has requests named recommendations, similar-items" in " ".join(verdict.reasons)
