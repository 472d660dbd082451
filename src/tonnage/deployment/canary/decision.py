"""Where an unattended canary goes next, from one look at it. Pure."""

from dataclasses import dataclass

from tonnage.deployment.canary.config import CanaryConfig
from tonnage.deployment.canary.plan import Goal
from tonnage.deployment.canary.steps import Steps
from tonnage.deployment.judge.verdict import Outcome, Verdict

EVERYBODY = 100
"""Per cent at which stable has no users any more, so that nothing is left to compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A canary at one moment.

    Args:
        weight: of the canary, as the Helm values have it.
        at_weight_s: seconds since it got it.
        requests: how many the canary was asked since then.
        verdict: of all its time; None before its traffic began.
        blind_s: seconds in which it could not be judged, up to now.
        running_s: seconds since this run began to look after it.
    """

    weight: int
    at_weight_s: float = 0
    requests: int = 0
    verdict: Verdict | None = None
    blind_s: float = 0
    running_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Pursue a goal.

    Args:
        goal: which.
        weight: for `serve`.
        says: why.
    """

    goal: Goal
    weight: int = 0
    says: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """Look again later."""

    says: str


@dataclass(frozen=True, slots=True)
class End:
    """Leave the canary as it is.

    Args:
        outcome: `inconclusive` at the end of time, `error` when it could not be measured.
        says: why.
    """

    outcome: Outcome
    says: str


Decision = Go | Stay | End


def step_after(weight: int, config: Steps) -> int | None:
    """The next step of `[canary] steps`; None after the last."""
    return next((step for step in config.steps if step > weight), None)


def decide(standing: Standing, config: CanaryConfig) -> Decision:
    """What to do with the canary now.

    A fail aborts at once. A step is left when it has lasted, and served, long enough without one; the last
    step, and the one before 100 %, only with a pass. What cannot be measured neither goes on nor aborts.
    """
    verdict, further = standing.verdict, step_after(standing.weight, config)
    if not standing.weight:
        return Go(goal=Goal.SERVE, weight=config.steps[0], says="the first step")
    if verdict is None:
        return _later("not judged yet", standing, config, Outcome.INCONCLUSIVE)
    if verdict.outcome is Outcome.FAIL:
        return Go(goal=Goal.ABORT, says="; ".join(verdict.reasons))
    if verdict.outcome is Outcome.ERROR:
        return _blind(verdict, standing, config)
    if waits := _too_short(standing, config):
        return _later(waits, standing, config, Outcome.INCONCLUSIVE)
    if further == EVERYBODY and verdict.outcome is not Outcome.PASS:
        return _later("waits for every check to pass", standing, config, Outcome.INCONCLUSIVE)
    if further is not None:
        return Go(goal=Goal.SERVE, weight=further, says=f"no fault at {standing.weight} %")
    if verdict.outcome is Outcome.PASS:
        return Go(goal=Goal.PROMOTE, says="every check passed")
    return _later("waits for every check to pass", standing, config, Outcome.INCONCLUSIVE)


def _blind(verdict: Verdict, standing: Standing, config: CanaryConfig) -> Decision:
    says = "; ".join(verdict.reasons)
    if standing.blind_s >= config.patience_s:
        return End(Outcome.ERROR, f"could not be judged for {standing.blind_s:.0f} s: {says}")
    return _later("waits until it can be judged", standing, config, Outcome.ERROR)


def _later(waits: str, standing: Standing, config: CanaryConfig, outcome: Outcome) -> Decision:
    if standing.running_s < config.timeout_s:
        return Stay(waits)
    reasons = standing.verdict.reasons if standing.verdict else [waits]
    return End(outcome, f"not decided within {config.timeout_s:.0f} s: {'; '.join(reasons)}")


def _too_short(standing: Standing, config: CanaryConfig) -> str:
    """Why a step may not be left yet; empty when it may."""
    left_s = config.step_s - standing.at_weight_s
    lacking = config.step_requests - standing.requests
    waits = [f"{left_s:.0f} s"] if left_s > 0 else []
    waits += [f"{lacking:,} requests"] if lacking > 0 else []
    return f"this step takes {' and '.join(waits)} more" if waits else ""
