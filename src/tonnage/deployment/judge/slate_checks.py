"""Checks of what slates show: as many different items, the same kind of items, in a kindred order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.deployment.judge import spreads
from tonnage.deployment.judge.checks import limits_of, unmeasured
from tonnage.deployment.judge.comparing import HOPELESS, Limits, surely_worse
from tonnage.deployment.judge.config import JudgeConfig, Rate, Tolerance
from tonnage.deployment.judge.evidence import Side, Tallies, needed
from tonnage.deployment.judge.measurements import AGREEMENT, ITEMS, Observed, Spread
from tonnage.deployment.judge.verdict import Finding, Outcome

COVERAGE, OVERLAP, SCORE_SHIFT = "item coverage", "overlap with stable", "score shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One comparison of two spreads.

    Attributes:
        tallies: two rates, whose difference is at most that of the spreads.
        difference: as it was seen, from 0 to 1.
        says: in words.
    """

    tallies: Tallies
    difference: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateCheck:
    """How far the spread of a canary's slates may differ from stable's.

    Args:
        name: of the check.
        measurement: which spread.
        look: compares two spreads.
        limits: how far, as lines at stable's rate and so many points more.
    """

    name: str
    measurement: str
    look: Callable[[Spread, Spread], Seen]
    limits: Limits

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding."""
        stable, canary = (track.spread.get(self.measurement) for track in (observed.stable, observed.canary))
        if stable is None or canary is None:
            # A release from before there was such a measurement cannot be compared with; one that has lost
            # it can be.
            return [
                unmeasured(self.name, observed, required=stable is not None, measurement=self.measurement)
            ]
        if not canary.asked.any() or not stable.asked.any():
            track = "stable" if canary.asked.any() else "the canary"
            return [self._unknown(f"no slate of {track} with something to choose yet", None)]
        return [self._decide(self.look(stable, canary))]

    def _decide(self, seen: Seen) -> Finding:
        if surely_worse([seen.tallies], self.limits):
            says = f"{seen.says}; surely apart by more than {self.limits.worse.more:.0%}"
            return Finding(check=self.name, outcome=Outcome.FAIL, reason=says)
        compared, tallies = seen.tallies.compared, seen.tallies
        alpha, limit = self.limits.false_promotion, self.limits.good.more
        n_s, n_c = (float(each[compared].sum()) for each in (tallies.stable_n, tallies.canary_n))
        windows = int(compared.sum())
        if seen.difference + spreads.radius(n_s, n_c, windows, alpha=alpha) < limit:
            says = f"{seen.says}; surely apart by less than {limit:.0%}"
            return Finding(check=self.name, outcome=Outcome.PASS, reason=says)
        requests = min(
            needed(tallies, self.limits.worse, Side.WORSE, alpha=self.limits.false_abort),
            spreads.needed_to_pass(tallies, seen.difference, limit, alpha=alpha),
        )
        return self._unknown(seen.says, requests)

    def _unknown(self, says: str, requests: float | None) -> Finding:
        needs = None
        if requests is not None and requests > HOPELESS:
            says = f"{says}; too close to what is tolerated to tell"
        elif requests is not None:
            needs = max(1, int(np.ceil(requests)))
            says = f"{says}; needs about {needs:,} more slates of the canary"
        return Finding(check=self.name, outcome=Outcome.INCONCLUSIVE, reason=says, needs=needs)


def coverage(config: JudgeConfig) -> SlateCheck:
    """Whether the canary shows its items as widely as stable does."""
    return SlateCheck(name=COVERAGE, measurement=ITEMS, look=_width, limits=_limits(config.coverage, config))


def overlap(config: JudgeConfig) -> SlateCheck:
    """Whether the canary shows much of what stable shows."""
    return SlateCheck(name=OVERLAP, measurement=ITEMS, look=_items, limits=_limits(config.overlap, config))


def score_shift(config: JudgeConfig) -> SlateCheck:
    """Whether the canary's scores turn the order of what the sources promise no more than stable's do."""
    return SlateCheck(
        name=SCORE_SHIFT, measurement=AGREEMENT, look=_order, limits=_limits(config.score_shift, config)
    )


def _limits(tolerance: Tolerance, config: JudgeConfig) -> Limits:
    rate = Rate(ratio=1.0, tolerated=tolerance.tolerated, resolution=tolerance.resolution)
    return limits_of(rate, config)


def _width(stable: Spread, canary: Spread) -> Seen:
    tallies = spreads.densest(stable, canary)
    here, there = spreads.rates(tallies)
    kinds = stable.counts.shape[1]
    says = (
        f"the canary's items spread over {spreads.effective(canary):.1f} of {kinds} buckets, stable's over "
        f"{spreads.effective(stable):.1f}; as few as hold {here:.0%} of stable's hold {there:.0%} of its own"
    )
    return Seen(tallies=tallies, difference=max(there - here, 0.0), says=says)


def _items(stable: Spread, canary: Spread) -> Seen:
    apart = spreads.distance(stable, canary)
    says = f"{1 - apart:.0%} of what {canary.asked.sum():,} slates of the canary show stable shows as often"
    return Seen(tallies=spreads.ahead(stable, canary), difference=apart, says=says)


def _order(stable: Spread, canary: Spread) -> Seen:
    tallies = spreads.disorder(stable, canary)
    here, there = spreads.rates(tallies)
    says = (
        f"slates agree with the sources: canary {1 - there:.2f}, stable {1 - here:.2f}, "
        "of 1 for the candidates that promised most"
    )
    return Seen(tallies=tallies, difference=max(there - here, 0.0), says=says)
