"""One comparison of rates: surely worse, surely good enough, or not known yet and how much more it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from tonnage.deployment.judge.evidence import Line, Side, Tallies, log_evidence, needed
from tonnage.deployment.judge.verdict import Finding, Outcome

HOPELESS = 10_000_000
"""More requests than anybody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The two lines of a comparison, and how surely each must be crossed.

    Args:
        worse: a canary surely above it fails.
        good: a canary surely below it passes.
        false_abort: chance of a fail for a canary on or below `worse`, however often one looks.
        false_promotion: chance of a pass for a canary on or above `good`.
    """

    worse: Line
    good: Line
    false_abort: float
    false_promotion: float


def compare(
    check: str, of: str, tallies: Sequence[Tallies], limits: Limits, *, good: Tallies | None = None
) -> Finding:
    """Judge rates.

    Args:
        check: name for the finding.
        of: what is counted, in words that follow "5 of 100 requests".
        tallies: the same requests counted in one way or more, each of which may show that it is worse.
        limits: the lines.
        good: the counts that a pass rests on; without them, the last of the others.
    """
    last = good or tallies[-1]
    if not last.canary_n.any():
        return _unknown(check, "no request of the canary yet", last, limits)
    if not last.stable_n.any():
        return _unknown(check, "no request of stable to compare with", last, limits)
    seen = f"canary {_rate(last.canary_x, last.canary_n)}, stable {_rate(last.stable_x, last.stable_n)} {of}"
    if surely_worse(tallies, limits):
        return Finding(
            check=check, outcome=Outcome.FAIL, reason=f"{seen}; surely above {_says(limits.worse)}"
        )
    better = log_evidence(last, limits.good, Side.BETTER)
    if better.size and better[-1] >= -np.log(limits.false_promotion):
        return Finding(check=check, outcome=Outcome.PASS, reason=f"{seen}; surely below {_says(limits.good)}")
    return _unknown(check, seen, last, limits)


def surely_worse(tallies: Sequence[Tallies], limits: Limits) -> bool:
    """Whether one look or more found the canary worse. Pure."""
    # The mean of evidence is evidence, whichever of the ways of counting shows the difference. What was
    # proved once stays proved.
    each = np.stack([log_evidence(one, limits.worse, Side.WORSE, restarting=True) for one in tallies])
    if not each.size:
        return False
    return bool(logsumexp(each, axis=0, b=1 / len(each)).max() >= -np.log(limits.false_abort))


def _unknown(check: str, seen: str, last: Tallies, limits: Limits) -> Finding:
    requests = min(
        needed(last, limits.worse, Side.WORSE, alpha=limits.false_abort),
        needed(last, limits.good, Side.BETTER, alpha=limits.false_promotion),
    )
    if requests > HOPELESS:
        why = (
            "nothing to plan with yet"
            if not last.stable_n.any()
            else "too close to what is tolerated to tell"
        )
        return Finding(check=check, outcome=Outcome.INCONCLUSIVE, reason=f"{seen}; {why}")
    needs = max(1, int(np.ceil(requests)))
    says = f"{seen}; needs about {needs:,} more requests of the canary to tell whether it stays below "
    return Finding(check=check, outcome=Outcome.INCONCLUSIVE, reason=says + _says(limits.good), needs=needs)


def _rate(events: np.ndarray, requests: np.ndarray) -> str:
    some, all_ = int(events.sum()), int(requests.sum())
    return f"{some:,} of {all_:,} ({some / all_:.2%})"


def _says(line: Line) -> str:
    times = "stable's rate" if line.ratio == 1 else f"{line.ratio:g} times stable's rate"
    return f"{times} + {line.more * 100:.3g} points" if line.more else times
