"""Where an unattended canary goes next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.deployment.canary.config import CanaryConfig
from tonnage.deployment.canary.decision import Decision, End, Go, Standing, Stay, decide
from tonnage.deployment.canary.plan import Goal
from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.errors import ConfigError

CONFIG = CanaryConfig(steps=(5, 25, 50), step_s=60, step_requests=100, patience_s=120, timeout_s=3600)
JUDGED = st.sampled_from([Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.ERROR])
SECONDS = st.floats(0, 10_000)
STANDINGS = st.builds(
    lambda weight, at_weight_s, requests, outcome, blind_s, running_s: Standing(
        weight=weight,
        at_weight_s=at_weight_s,
        requests=requests,
        verdict=verdict(outcome),
        blind_s=blind_s,
        running_s=running_s,
    ),
    st.integers(1, 100),
    SECONDS,
    st.integers(0, 1000),
    JUDGED,
    SECONDS,
    SECONDS,
)


def verdict(outcome: Outcome, needs: int | None = None) -> Verdict:
    return together([Finding(check="errors", outcome=outcome, reason="as the test says", needs=needs)])


def standing(outcome: Outcome | None, *, weight: int = 5, **more: float) -> Standing:
    whole = {"at_weight_s": 61, "requests": 101, **more}
    return Standing(weight=weight, verdict=outcome and verdict(outcome), **whole)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(STANDINGS)
def test_no_look_promotes_without_a_pass_nor_aborts_without_a_fail(seen: Standing):
    assert seen.verdict is not None
    decision, outcome = decide(seen, CONFIG), seen.verdict.outcome
    if isinstance(decision, Go):
        assert (decision.goal is Goal.ABORT) == (outcome is Outcome.FAIL)
        assert decision.goal is not Goal.PROMOTE or (outcome is Outcome.PASS and seen.weight >= 50)
        assert decision.goal is not Goal.SERVE or decision.weight > seen.weight
        assert outcome is not Outcome.ERROR
    else:
        assert outcome is not Outcome.FAIL


@settings(max_examples=300, deadline=None)
@given(STANDINGS)
def test_every_run_comes_to_its_end(seen: Standing):
    """After its time, a run that can go no further ends, and says whether it was blind or undecided."""
    late = Standing(
        weight=50,
        at_weight_s=seen.at_weight_s,
        requests=seen.requests,
        verdict=seen.verdict,
        blind_s=seen.blind_s,
        running_s=3600,
    )
    decision = decide(late, CONFIG)
    assert not isinstance(decision, Stay)
    if isinstance(decision, End):
        assert seen.verdict is not None
        blind = seen.verdict.outcome is Outcome.ERROR
        assert decision.outcome is (Outcome.ERROR if blind else Outcome.INCONCLUSIVE)


def test_a_canary_equal_to_stable_walks_every_step_and_is_promoted():
    weights, weight = [], 0
    while isinstance(decision := decide(standing(Outcome.PASS, weight=weight), CONFIG), Go):
        if decision.goal is Goal.PROMOTE:
            break
        weight = decision.weight
        weights.append(weight)
    assert (weights, decision) == ([5, 25, 50], Go(goal=Goal.PROMOTE, says="every check passed"))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (standing(None, weight=0), Go(goal=Goal.SERVE, weight=5, says="the first step")),
        (standing(Outcome.INCONCLUSIVE), Go(goal=Goal.SERVE, weight=25, says="no fault at 5 %")),
        (standing(Outcome.FAIL, at_weight_s=1), Go(goal=Goal.ABORT, says="errors: as the test says")),
        (standing(Outcome.PASS, at_weight_s=20), Stay("this step takes 40 s more")),
        (standing(Outcome.PASS, requests=40), Stay("this step takes 60 requests more")),
        (standing(Outcome.ERROR, blind_s=119), Stay("waits until it can be judged")),
        (
            standing(Outcome.ERROR, blind_s=120),
            End(Outcome.ERROR, "could not be judged for 120 s: errors: as the test says"),
        ),
        (standing(Outcome.INCONCLUSIVE, weight=50), Stay("waits for every check to pass")),
        (
            standing(Outcome.INCONCLUSIVE, weight=50, running_s=3600),
            End(Outcome.INCONCLUSIVE, "not decided within 3600 s: errors: as the test says"),
        ),
    ],
)
def test_a_look_is_followed_by(seen: Standing, expected: Decision):
    assert decide(seen, CONFIG) == expected


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.INCONCLUSIVE])
def test_everybody_gets_a_canary_only_when_it_has_passed(outcome: Outcome):
    """At 100 % stable has no traffic, so what is not known then will never be."""
    config = CanaryConfig(steps=(50, 100))
    decision = decide(standing(outcome, weight=50), config)
    assert isinstance(decision, Go) == (outcome is Outcome.PASS)


@pytest.mark.parametrize("steps", [(), (0, 5), (5, 101), (25, 5), (5, 5)])
def test_steps_that_cannot_be_walked_are_refused(steps: tuple[int, ...]):
    with pytest.raises(ConfigError, match="steps must"):
        CanaryConfig.read({"steps": list(steps)}, where="tonnage.toml [canary]")
