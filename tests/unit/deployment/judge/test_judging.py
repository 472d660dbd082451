"""From measurements to a verdict."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loadtests.drills.rollouts import (
    HISTORY,
    MIB,
    Behaviour,
    Slates,
    container,
    good_slates,
    narrow_slates,
    observed,
    until,
)

from tonnage.deployment.judge.config import Check, Guardrail, JudgeConfig, Rate
from tonnage.deployment.judge.judging import judge
from tonnage.deployment.judge.measurements import (
    EMPTY_SLATES,
    ERRORS,
    LATENCY,
    Container,
    Counted,
    Observed,
    Timed,
    Track,
)
from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.errors import ConfigError

CONFIG = JudgeConfig()
NOT_JUDGED = Outcome.NOT_JUDGED
SLATE_CHECKS = ("item coverage", "overlap with stable", "score shift")
STABLE, CANARY = Behaviour(requests=270), Behaviour(requests=30)


@pytest.fixture(scope="module")
def equal() -> Observed:
    """A canary that is as good as stable, for a thousand seconds."""
    return observed(np.random.default_rng(4), STABLE, CANARY, windows=100)


def finding(verdict: Verdict, check: str) -> tuple[Outcome, str]:
    return next((each.outcome, each.reason) for each in verdict.findings if each.check == check)


def with_errors(seen: Observed, errors: np.ndarray) -> Observed:
    counted = {**seen.canary.counted, ERRORS: Counted(seen.canary.counted[ERRORS].requests, errors)}
    return replace(seen, canary=replace(seen.canary, counted=counted))


def with_containers(seen: Observed, *containers: Container) -> Observed:
    return replace(seen, canary=replace(seen.canary, containers=containers))


def without_slates(track: Track) -> Track:
    counted = {name: each for name, each in track.counted.items() if name != EMPTY_SLATES}
    return replace(track, counted=counted, spread={})


def test_a_canary_equal_to_stable_passes(equal: Observed):
    verdict = judge(equal, CONFIG)
    assert verdict.outcome is Outcome.PASS, verdict.reasons


def test_too_little_traffic_never_passes_and_says_how_much_more_it_needs(equal: Observed):
    """Monitors that pass on silence have promoted releases that nobody had asked anything."""
    verdict = judge(until(equal, HISTORY + 2), CONFIG)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.needs is not None
    assert "needs about" in finding(verdict, ERRORS)[1]


@pytest.mark.parametrize("windows", [HISTORY, 1])
def test_a_canary_that_nobody_asked_does_not_pass(equal: Observed, windows: int):
    verdict = judge(until(equal, windows), CONFIG)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no request of the canary yet" in finding(verdict, ERRORS)[1]


def test_some_errors_against_none_fail_soon():
    """Zero against some is where tests on rates or ranks have passed bad releases."""
    bad = observed(np.random.default_rng(5), STABLE, replace(CANARY, errors=0.05), windows=6)
    verdict = judge(bad, CONFIG)
    assert verdict.outcome is Outcome.FAIL
    assert finding(verdict, ERRORS)[0] is Outcome.FAIL
    assert "surely above 1.5 times stable's rate + 0.05 points" in finding(verdict, ERRORS)[1]


def test_errors_that_both_tracks_have_fail_nobody():
    """A dependency that is away is not the canary's fault."""
    outage = [replace(each, errors=0.3) for each in (STABLE, CANARY)]
    assert judge(observed(np.random.default_rng(6), *outage, windows=30), CONFIG).outcome is not Outcome.FAIL


def test_twice_as_slow_fails():
    slow = observed(np.random.default_rng(7), STABLE, replace(CANARY, median_s=0.036), windows=12)
    assert finding(judge(slow, CONFIG), "p50")[0] is Outcome.FAIL


def test_a_slow_tail_fails_p99_alone():
    rng = np.random.default_rng(8)
    slow = observed(rng, STABLE, replace(CANARY, median_s=0.016, spread=0.9), windows=60)
    outcomes = {each.check: each.outcome for each in judge(slow, CONFIG).findings}
    assert (outcomes["p50"], outcomes["p99"]) == (Outcome.PASS, Outcome.FAIL)


def test_slower_by_less_than_is_tolerated_does_not_fail():
    """With traffic enough every difference is significant; only one that matters may count."""
    slower = observed(
        np.random.default_rng(9),
        replace(STABLE, requests=9000),
        Behaviour(requests=1000, median_s=0.0195),
        windows=60,
    )
    assert finding(judge(slower, CONFIG), "p50")[0] is Outcome.PASS


def test_a_slow_minute_of_stable_before_the_canary_does_not_hide_a_slow_canary():
    """Stable was just started, say: its first hundred requests took seconds."""
    seen = observed(np.random.default_rng(14), STABLE, replace(CANARY, median_s=0.036), windows=12)
    counts = seen.stable.timed[LATENCY].counts.copy()
    counts[:6], counts[:6, -1] = 0, 270
    timed = {LATENCY: Timed(seen.stable.timed[LATENCY].bounds, counts)}
    verdict = judge(replace(seen, stable=replace(seen.stable, timed=timed)), CONFIG)
    assert finding(verdict, "p50")[0] is Outcome.FAIL


def test_a_canary_twice_as_slow_never_passes_where_buckets_are_wide():
    """Between 100 and 400 ms the histogram's bounds double: 120 and 240 ms look like one bucket apart."""
    stable = replace(STABLE, median_s=0.12)
    slow = observed(np.random.default_rng(10), stable, replace(CANARY, median_s=0.24), windows=60)
    assert finding(judge(slow, CONFIG), "p50")[0] is not Outcome.PASS


@pytest.mark.parametrize(
    "how", [{"restarts": 1}, {"ended": "OOMKilled", "restarts": 1}, {"ended": "Evicted"}]
)
def test_any_container_that_ended_fails(equal: Observed, how: dict):
    verdict = judge(with_containers(equal, container(), container(**how)), CONFIG)
    assert verdict.outcome is Outcome.FAIL
    assert how.get("ended", "ended") in verdict.reasons[0]


def test_an_oomkill_fails_even_when_nothing_else_could_be_measured():
    seen = Observed(
        stable=observed(np.random.default_rng(1), STABLE, CANARY, windows=1).stable,
        canary=replace(
            observed(np.random.default_rng(1), STABLE, CANARY, windows=1).canary,
            counted={},
            timed={},
            containers=(container(ended="OOMKilled"),),
        ),
        missing={ERRORS: "Prometheus does not answer"},
    )
    assert judge(seen, CONFIG).outcome is Outcome.FAIL


def test_memory_near_the_limit_fails_unless_stable_is_as_full(equal: Observed):
    full = with_containers(equal, container(memory=750 * MIB))
    assert finding(judge(full, CONFIG), "memory")[0] is Outcome.FAIL
    both = replace(full, stable=replace(full.stable, containers=(container(memory=745 * MIB),)))
    assert finding(judge(both, CONFIG), "memory")[0] is Outcome.PASS


@pytest.mark.parametrize("lost", ["counted", "timed", "spread", "containers"])
def test_what_was_not_measured_is_an_error_never_a_pass(equal: Observed, lost: str):
    seen = replace(equal, canary=replace(equal.canary, **{lost: type(getattr(equal.canary, lost))()}))
    assert judge(seen, CONFIG).outcome is Outcome.ERROR


def test_memory_that_nobody_measured_is_an_error(equal: Observed):
    assert judge(with_containers(equal, container(memory=None)), CONFIG).outcome is Outcome.ERROR


def test_a_check_that_was_left_out_is_named(equal: Observed):
    verdict = judge(with_containers(equal), JudgeConfig(without=("restarts", "memory")))
    assert verdict.outcome is Outcome.PASS
    assert finding(verdict, "memory") == (Outcome.NOT_JUDGED, "left out by [canary] without")


def test_leaving_out_everything_is_no_way_to_pass(equal: Observed):
    everything = JudgeConfig(without=get_args(Check))
    unseen = replace(equal, stable=replace(equal.stable, counted={}))
    assert judge(unseen, everything).outcome is Outcome.ERROR


def test_empty_slates_fail():
    empty = observed(np.random.default_rng(12), STABLE, replace(CANARY, empty=0.05), windows=12)
    assert finding(judge(empty, CONFIG), EMPTY_SLATES)[0] is Outcome.FAIL


@pytest.mark.parametrize("check", [EMPTY_SLATES, *SLATE_CHECKS])
def test_slates_of_a_release_from_before_they_were_counted_are_named_and_not_judged(
    equal: Observed, check: str
):
    """Or nobody could ever move from such a release to one that counts."""
    stable, canary = (without_slates(each) for each in (equal.stable, equal.canary))
    assert finding(judge(Observed(stable=stable, canary=equal.canary), CONFIG), check)[0] is NOT_JUDGED
    lost = judge(Observed(stable=equal.stable, canary=canary), CONFIG)
    assert finding(lost, check)[0] is Outcome.ERROR


@pytest.mark.parametrize(
    ("slates", "failed"),
    [
        (good_slates(agreement=0.2), ["score shift"]),
        (narrow_slates(), ["item coverage", "overlap with stable"]),
        (good_slates(mixed=1.0, spread=0.03, seed=9), ["overlap with stable"]),
    ],
    ids=["order turned round", "the same for all", "other items"],
)
def test_slates_that_a_good_model_would_not_show_fail_by_name(slates: Slates, failed: list[str]):
    seen = observed(np.random.default_rng(13), STABLE, replace(CANARY, slates=slates), windows=30)
    verdict = judge(seen, CONFIG)
    assert verdict.outcome is Outcome.FAIL
    assert set(failed) <= {each.check for each in verdict.findings if each.outcome is Outcome.FAIL}
    assert verdict.outcome.exit_code == 1


@pytest.mark.parametrize(
    ("coverage", "outcome"), [(0.7, Outcome.PASS), (0.5, Outcome.FAIL), (None, Outcome.ERROR)]
)
def test_a_figure_has_to_stay_within_its_guardrail(equal: Observed, coverage: float | None, outcome: Outcome):
    config = JudgeConfig(figures={"coverage": Guardrail(at_least=0.9)})
    seen = replace(
        equal,
        stable=replace(equal.stable, figures={"coverage": 0.75}),
        canary=replace(equal.canary, figures={} if coverage is None else {"coverage": coverage}),
    )
    assert finding(judge(seen, config), "coverage")[0] is outcome


@settings(max_examples=10, deadline=None)
@given(shares=st.lists(st.floats(0, 0.4), min_size=8, max_size=8), more=st.integers(0, 7))
def test_more_errors_never_turn_a_fail_into_a_pass(shares: list[float], more: int):
    seen = observed(np.random.default_rng(11), STABLE, CANARY, windows=8)
    requests = seen.canary.counted[ERRORS].requests
    errors = np.concatenate([np.zeros(HISTORY), requests[HISTORY:] * shares]).astype(int)
    worse = errors.copy()
    worse[HISTORY + more] = requests[HISTORY + more]
    before, after = (judge(with_errors(seen, each), CONFIG).outcome for each in (errors, worse))
    assert not (before is Outcome.FAIL and after is not Outcome.FAIL)
    assert not (before is not Outcome.PASS and after is Outcome.PASS)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), first=st.floats(0, 0.3), second=st.floats(0, 0.3))
def test_two_tracks_cannot_both_be_worse_than_the_other(seed: int, first: float, second: float):
    rng = np.random.default_rng(seed)
    one, two = Behaviour(requests=100, errors=first), Behaviour(requests=100, errors=second)
    seen = observed(rng, one, two, windows=20, history=0)
    swapped = Observed(stable=seen.canary, canary=seen.stable)
    outcomes = [finding(judge(each, CONFIG), ERRORS)[0] for each in (seen, swapped)]
    assert outcomes.count(Outcome.FAIL) <= 1


def test_the_defaults_are_the_table_without_a_key_and_wrong_ones_are_named():
    assert JudgeConfig.read({}, where="tonnage.toml [canary]") == CONFIG
    with pytest.raises(ConfigError, match="resolution must be larger than tolerated"):
        JudgeConfig.read({"errors": {"tolerated": 0.1}}, where="tonnage.toml [canary]")
    assert CONFIG.errors == Rate()
