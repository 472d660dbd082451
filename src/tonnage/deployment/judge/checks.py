"""Checks of what requests met: errors, fallbacks, empty slates, time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tonnage.deployment.judge.comparing import Limits, compare
from tonnage.deployment.judge.config import JudgeConfig, Rate, Slowness
from tonnage.deployment.judge.evidence import Line
from tonnage.deployment.judge.measurements import (
    FALLBACK,
    LATENCY,
    Observed,
    Timed,
    tallies,
)
from tonnage.deployment.judge.verdict import Finding, Outcome

OF_ERRORS = 0.4
"""Of what may go wrong by chance, the part of the errors: they harm most, and few of them must be enough."""

COMPARISONS = 7
"""Fallbacks, empty slates, two quantiles, coverage, overlap, score shift: they share the rest."""

OTHERS = (1 - OF_ERRORS) / COMPARISONS
"""The part of each of them."""

FALLBACKS = 8
"""As many names of fallbacks share the part of all fallbacks; more share it among themselves."""

COARSE = 1.7
"""Widest ratio between two bounds that still tells a slow canary from a good one."""

ENOUGH_TO_SEE_QUANTILES = 100
"""Requests of stable that choose the bucket in which a quantile lies."""


class Check(Protocol):
    """One thing that is judged."""

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """What it finds; never nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of requests that have a certain property.

    Args:
        name: of the check, and of the measurement.
        of: what is counted, in words.
        limits: the lines.
        required: whether it is an error that stable lacks the measurement; that the canary alone does always
            is.
    """

    name: str
    of: str
    limits: Limits
    required: bool = True

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding."""
        stable, canary = (track.counted.get(self.name) for track in (observed.stable, observed.canary))
        if stable is None or canary is None:
            return [unmeasured(self.name, observed, required=self.required or stable is not None)]
        return [compare(self.name, self.of, [tallies(stable, canary)], self.limits)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """The share of slates with each named fallback.

    Args:
        rate: how much oftener than stable.
        config: how surely.
    """

    rate: Rate
    config: JudgeConfig

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding per name that either track has counted; one in all when there is none."""
        names = sorted(
            {
                name
                for track in (observed.stable, observed.canary)
                for name in track.counted
                if name.startswith(FALLBACK)
            }
        )
        if not names:
            return [unmeasured("fallbacks", observed, required=True)]
        limits = limits_of(self.rate, self.config, part=OTHERS / max(FALLBACKS, len(names)))
        return [
            finding
            for name in names
            for finding in Share(name=name, of="slates", limits=limits).judge(observed)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slower:
    """A quantile of a histogram of times, with a floor below which a difference does not count.

    A canary that is at most `ratio` times as slow has, above any time `ratio * t`, at most the share of
    requests that stable has above `t`. The two bounds of the bucket that holds stable's quantile are such
    times.

    Args:
        name: of the check.
        quantile: from 0 to 1.
        slowness: how much slower.
        limits: the lines.
    """

    name: str
    quantile: float
    slowness: Slowness
    limits: Limits

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding."""
        stable, canary = (track.timed.get(LATENCY) for track in (observed.stable, observed.canary))
        if stable is None or canary is None:
            return [unmeasured(self.name, observed, required=True, measurement=LATENCY)]
        if stable.bounds != canary.bounds:
            return [
                Finding(check=self.name, outcome=Outcome.ERROR, reason="the tracks have different buckets")
            ]
        chosen = _bucket(stable, canary, self.quantile)
        if chosen is None:
            says = f"needs {ENOUGH_TO_SEE_QUANTILES} requests of stable to see where its {self.name} lies"
            return [Finding(check=self.name, outcome=Outcome.INCONCLUSIVE, reason=says)]
        bucket, window = chosen
        times = [pair for edge in (bucket - 1, bucket) if (pair := self._pair(stable.bounds, edge))]
        if not times or times[-1][0] != bucket:
            says = f"stable's is too long for buckets that end at {stable.bounds[-1]:g} s"
            return [Finding(check=self.name, outcome=Outcome.ERROR, reason=says)]
        after = replace(
            canary, counts=np.where(np.arange(len(canary.counts))[:, None] > window, canary.counts, 0)
        )
        here, there = times[-1]
        if stable.bounds[there] > COARSE * stable.bounds[here]:
            # So wide a bucket hides one that is twice as slow: a pass then rests on the same bound for both.
            there = here
        counts = [tallies(stable.above(one), after.above(other)) for one, other in times]
        of = f"took longer than {stable.bounds[there] * 1000:g} ms and {stable.bounds[here] * 1000:g} ms"
        good = tallies(stable.above(here), after.above(there))
        return [compare(self.name, of, counts, self.limits, good=good)]

    def _pair(self, bounds: Sequence[float], edge: int) -> tuple[int, int] | None:
        """A bound, and the first that is at least `ratio` times as long; None where there is none."""
        if not 0 <= edge < len(bounds):
            return None
        # Bounds are decimal fractions: 1.5 times 0.01 must be 0.015.
        beyond = int(np.searchsorted(bounds, bounds[edge] * self.slowness.ratio * (1 - 1e-9)))
        return (edge, beyond) if beyond < len(bounds) else None


def _bucket(stable: Timed, canary: Timed, quantile: float) -> tuple[int, int] | None:
    """The bucket that holds stable's quantile, and the window at whose end that was clear.

    It is chosen once, from windows that are not judged: choosing it from what it judges would find
    differences. They are all that lie before the canary, so that one slow minute does not choose it.
    """
    so_far = np.cumsum(stable.counts, axis=0)
    enough = np.flatnonzero(so_far.sum(axis=1) >= ENOUGH_TO_SEE_QUANTILES)
    if not enough.size:
        return None
    asked = np.flatnonzero(canary.counts.sum(axis=1))
    chosen = max(int(enough[0]), int(asked[0]) - 1 if asked.size else 0)
    cumulated = np.cumsum(so_far[chosen])
    return int(np.searchsorted(cumulated, quantile * cumulated[-1])), chosen


def limits_of(rate: Rate, config: JudgeConfig, *, part: float = OTHERS) -> Limits:
    """The lines of a rate, and this check's part of the chance of a false abort."""
    return Limits(
        worse=Line(ratio=rate.ratio, more=rate.tolerated),
        good=Line(ratio=rate.ratio, more=rate.resolution),
        false_abort=config.false_aborts * part,
        # A pass needs every check, so each may have the whole chance.
        false_promotion=config.false_promotions,
    )


def slower(name: str, quantile: float, slowness: Slowness, config: JudgeConfig) -> Slower:
    """The check of one quantile. Its ratio is of times, so the lines themselves have none."""
    limits = limits_of(slowness, config)
    return Slower(
        name=name,
        quantile=quantile,
        slowness=slowness,
        limits=replace(limits, worse=replace(limits.worse, ratio=1.0), good=replace(limits.good, ratio=1.0)),
    )


def unmeasured(check: str, observed: Observed, *, required: bool, measurement: str = "") -> Finding:
    """What to say where there is nothing to judge: an error, unless the check is optional."""
    why = observed.missing.get(measurement or check, "was not measured for both tracks")
    outcome = Outcome.ERROR if required else Outcome.NOT_JUDGED
    return Finding(check=check, outcome=outcome, reason=why)
