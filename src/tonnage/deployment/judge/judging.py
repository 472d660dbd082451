"""The judge: everything that was measured, to one verdict. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tonnage.deployment.judge import slate_checks
from tonnage.deployment.judge.checks import OF_ERRORS, Check, Fallbacks, Share, limits_of, slower, unmeasured
from tonnage.deployment.judge.config import Guardrail, JudgeConfig
from tonnage.deployment.judge.container_checks import Memory, Restarts
from tonnage.deployment.judge.measurements import EMPTY_SLATES, ERRORS, Observed
from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together


def judge(observed: Observed, config: JudgeConfig, *, further: Sequence[Check] = ()) -> Verdict:
    """Judge a canary by what both tracks did so far; the same measurements always give the same verdict.

    Args:
        observed: what was measured.
        config: thresholds.
        further: checks of one's own.
    """
    checks = [*_checks(config), *further]
    return together([finding for check in checks for finding in check.judge(observed)])


def _checks(config: JudgeConfig) -> Iterator[Check]:
    errors = Share(name=ERRORS, of="requests", limits=limits_of(config.errors, config, part=OF_ERRORS))
    yield from _unless(config, "restarts", Restarts())
    yield from _unless(config, "memory", Memory(share=config.memory))
    yield from _unless(config, "errors", errors)
    yield from _unless(config, "fallbacks", Fallbacks(rate=config.fallbacks, config=config))
    latency = slower("p50", 0.5, config.p50, config), slower("p99", 0.99, config.p99, config)
    yield from _unless(config, "latency", *latency)
    empty = limits_of(config.empty_slates, config)
    yield Share(name=EMPTY_SLATES, of="slates", limits=empty, required=False)
    yield from _unless(config, "coverage", slate_checks.coverage(config))
    yield from _unless(config, "overlap", slate_checks.overlap(config))
    yield from _unless(config, "score_shift", slate_checks.score_shift(config))
    for name, guardrail in config.figures.items():
        yield Figure(name=name, guardrail=guardrail)


def _unless(config: JudgeConfig, name: str, *checks: Check) -> Iterator[Check]:
    if name in config.without:
        yield LeftOut(name)
    else:
        yield from checks


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A check that somebody does not want."""

    name: str

    def judge(self, observed: Observed) -> Sequence[Finding]:  # noqa: ARG002
        """That it was left out."""
        says = "left out by [canary] without"
        return [Finding(check=self.name, outcome=Outcome.NOT_JUDGED, reason=says)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A single number of the canary beside stable's.

    It knows no chance: give it figures of many requests only.

    Args:
        name: of the check, and of the figure.
        guardrail: between what it must lie.
    """

    name: str
    guardrail: Guardrail

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding; an absent figure was asked for by name, so it is an error."""
        stable, canary = (track.figures.get(self.name) for track in (observed.stable, observed.canary))
        if stable is None or canary is None:
            return [unmeasured(self.name, observed, required=True)]
        low, high = self.guardrail.at_least, self.guardrail.at_most
        broken = [
            says
            for says, is_broken in (
                (f"below {low} times that", low is not None and canary < low * stable),
                (f"above {high} times that", high is not None and canary > high * stable),
            )
            if is_broken
        ]
        outcome = Outcome.FAIL if broken else Outcome.PASS
        reason = f"canary {canary:.4g}, stable {stable:.4g}; {' and '.join(broken) or 'within its guardrail'}"
        return [Finding(check=self.name, outcome=outcome, reason=reason)]
