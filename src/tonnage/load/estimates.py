"""Shares and quantiles of a run, with intervals that know that slow moments come together.

Requests of the same second share their fate, so that a thousand of them tell less than a thousand drawn
apart. How much less is seen by cutting the run into stretches of time: what varies more between them than
chance allows divides the number of requests (the design effect; Kish, "Survey Sampling", 1965). The
intervals are the exact ones of Clopper and Pearson for what is left, and for a quantile the ranks they give.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

STRETCHES = 20
"""Pieces of equal time; more would be shorter than the slow moments."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure, and between what it surely lies.

    Args:
        value: as it was seen.
        low: lower end of the interval.
        high: upper end; infinity where too little was seen.
    """

    value: float
    low: float
    high: float


def share(events: NDArray[np.bool_], at_s: Floats, *, certainty: float) -> Estimate:
    """The share of requests that an event happened to.

    Args:
        events: bool [requests], at least one.
        at_s: when each began, seconds.
        certainty: of the interval, such as 0.95.
    """
    n = len(events) / _design_effect(events, at_s)
    seen = float(events.mean())
    x, tail = seen * n, (1 - certainty) / 2
    low = float(beta.ppf(tail, x, n - x + 1)) if x > 0 else 0.0
    high = float(beta.ppf(1 - tail, x + 1, n - x)) if x < n else 1.0
    return Estimate(value=seen, low=low, high=high)


def quantile(values: Floats, at_s: Floats, level: float, *, certainty: float) -> Estimate:
    """A quantile of what requests took.

    Args:
        values: float [requests], at least one.
        at_s: when each began, seconds.
        level: from 0 to 1, both excluded.
        certainty: of the interval, such as 0.95.
    """
    ordered = np.sort(values)
    value = float(ordered[_rank(level, len(ordered))])
    n = max(1, int(len(values) / _design_effect(values > value, at_s)))
    tail = (1 - certainty) / 2
    below, above = float(binom.ppf(tail, n, level)) / n, (float(binom.ppf(1 - tail, n, level)) + 1) / n
    high = float(ordered[_rank(above, len(ordered))]) if above < 1 else float("inf")
    return Estimate(value=value, low=float(ordered[_rank(below, len(ordered))]), high=high)


def _rank(level: float, n: int) -> int:
    # The smallest value that so many are not above; rounding must not step over it.
    return min(max(int(np.ceil(level * n - 1e-9)) - 1, 0), n - 1)


def _design_effect(events: NDArray[np.bool_], at_s: Floats) -> float:
    """How many requests tell as much as one that was drawn apart, at least 1."""
    seen = events.mean()
    span = float(np.ptp(at_s))
    if seen in {0.0, 1.0} or span == 0:
        return 1.0
    stretch = np.minimum(((at_s - at_s.min()) / span * STRETCHES).astype(np.int64), STRETCHES - 1)
    asked = np.bincount(stretch, minlength=STRETCHES).astype(np.float64)
    happened = np.bincount(stretch, weights=events, minlength=STRETCHES)
    used = asked > 0
    if used.sum() < 2:
        return 1.0
    apart = ((happened - seen * asked)[used] ** 2).sum() * used.sum() / (used.sum() - 1)
    by_chance = seen * (1 - seen) * len(events)
    return float(max(1.0, min(apart / by_chance, len(events))))
