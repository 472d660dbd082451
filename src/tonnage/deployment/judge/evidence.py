"""Evidence about two rates that may be looked at as often as one likes.

A track's rate is the chance that one of its requests has a certain property: it failed, it fell back, it took
longer than some time. A `Line` says which rate the canary may have beside stable's; `log_evidence` weighs the
windows so far against "the canary is on this side of it". However often one looks, evidence reaches 1/alpha
with probability at most alpha when that claim is true, so whoever stops at 1/alpha errs in at most a share
alpha of the rollouts.

Sources: Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for
optional stopping", J. Stat. Plan. Inference 230 (2024): the E-variable of one window, its alternative learned
from the windows before. Lindon, Sanden, Shirikian, "Rapid regression detection in software deployments
through sequential testing", KDD 2022, for the setting. Shin, Ramdas, Rinaldo, "E-detectors", NEJSDS 2024, for
evidence that starts anew.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise
from scipy.special import expit, logit, logsumexp, xlogy
from scipy.stats import norm

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ODDS = np.log(np.array([1.5, 4.0, 15.0, 60.0]))
"""Log odds ratios, canary against the line, that the evidence bets on."""

STAKES = np.array([0.15, 0.2, 0.4, 0.25])
"""How much on each: most on what a bad canary does to rates that are small, as those of errors should be."""

TINY = 1e-12
PRIOR_REQUESTS = 300.0
"""What a canary is assumed to be like before it has shown itself: so many requests like stable's."""

CAUTION = 1.64
"""Standard errors by which stable's rate is taken to be higher than it was seen, when a need is estimated."""


class Side(Enum):
    """Which side of the line the evidence speaks for."""

    WORSE = 1
    BETTER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The rate that a canary may have: `ratio` times stable's, and `more` on top.

    Args:
        ratio: above 0.
        more: from 0 to 1.
    """

    ratio: float = 1.0
    more: float = 0.0

    def beside(self, stable: Floats) -> Floats:
        """The canary's rate on the line, for rates of stable."""
        return self.ratio * stable + self.more


@dataclass(frozen=True, slots=True)
class Tallies:
    """Requests, and those of them that count, of both tracks.

    A request may count in part: the evidence of a share x is at most what it would be on average if the
    request counted with chance x, for the logarithm of a bet is concave.

    Args:
        stable_n: stable's requests per window, int [windows].
        stable_x: those that count, [windows].
        canary_n: the canary's requests per window, int [windows].
        canary_x: those that count, [windows].
    """

    stable_n: Ints
    stable_x: Ints | Floats
    canary_n: Ints
    canary_x: Ints | Floats

    @property
    def compared(self) -> NDArray[np.bool_]:
        """Windows that are compared: both tracks were asked, and stable before them too."""
        return (self.stable_n > 0) & (self.canary_n > 0) & (np.cumsum(self.stable_n) > self.stable_n)


def log_evidence(tallies: Tallies, line: Line, side: Side, *, restarting: bool = False) -> Floats:
    """The log of the evidence after each window that is compared, float [windows compared]; 0 is none.

    Args:
        tallies: what was counted.
        line: where better ends and worse begins.
        side: what to find evidence for.
        restarting: also bet that the difference began with any later window, so that hours of good behaviour
            do not hide that a canary went bad. Costs log 2 where it was bad from the beginning.
    """
    bets = _log_bets(tallies, line, side)
    if not restarting:
        return np.asarray(logsumexp(np.cumsum(bets, axis=0), axis=1, b=STAKES))
    running, since = np.full(len(ODDS), -np.inf), np.zeros_like(bets)
    window = np.arange(len(bets), dtype=np.float64)
    # Prior chance that the difference begins with a window; what is left of it stays in the pocket.
    begins, left = -np.log((window + 1) * (window + 2)), -np.log(window + 2)
    for row, (begin, bet) in enumerate(zip(begins, bets, strict=True)):
        running = np.logaddexp(running, begin) + bet
        since[row] = running
    return np.asarray(np.logaddexp(logsumexp(since, axis=1, b=STAKES), left))


def _log_bets(tallies: Tallies, line: Line, side: Side) -> Floats:
    """Per window compared and bet, the log likelihood ratio against the nearest rates on the line."""
    # Only what came before a window may choose its bet, or the evidence would not be valid. That includes
    # stable's time before the canary.
    before_n = np.cumsum(tallies.stable_n) - tallies.stable_n
    before_x = np.cumsum(tallies.stable_x) - tallies.stable_x
    n_s, x_s, n_c, x_c, rate = (
        each[tallies.compared][:, None].astype(np.float64)
        for each in (
            tallies.stable_n,
            tallies.stable_x,
            tallies.canary_n,
            tallies.canary_x,
            (before_x + 0.5) / (before_n + 1.0),
        )
    )
    bets = np.zeros((len(rate), len(ODDS)))
    # Where the line is above 1, nothing is worse.
    open_ = line.beside(rate[:, 0]) < 1 - TINY
    if open_.any():
        n_s, x_s, n_c, x_c, rate = (each[open_] for each in (n_s, x_s, n_c, x_c, rate))
        bets[open_] = _log_ratio(n_s, x_s, n_c, x_c, rate, line, side)
    return bets


def _log_ratio(
    n_s: Floats, x_s: Floats, n_c: Floats, x_c: Floats, stable: Floats, line: Line, side: Side
) -> Floats:
    canary = _alternatives(stable, line, side)
    null_s = _nearest(n_s, n_c, stable, canary, line)
    null_c = line.beside(null_s)
    return np.asarray(
        xlogy(x_s, stable / null_s)
        + xlogy(n_s - x_s, (1 - stable) / (1 - null_s))
        + xlogy(x_c, canary / null_c)
        + xlogy(n_c - x_c, (1 - canary) / (1 - null_c))
    )


def _alternatives(stable: Floats, line: Line, side: Side) -> Floats:
    on_the_line = np.clip(line.beside(stable), TINY, 1 - TINY)
    return np.asarray(expit(logit(on_the_line) + side.value * ODDS))


def _nearest(n_s: Floats, n_c: Floats, stable: Floats, canary: Floats, line: Line) -> Floats:
    """Stable's rate at the point of the line that is nearest to the bet (least Kullback-Leibler divergence).

    Rates on one side of a line are a convex set, so the ratio against this one point has an expectation of at
    most 1 for all of them.
    """

    def slope(rate: Floats, n_s: Floats, n_c: Floats, stable: Floats, canary: Floats) -> Floats:
        beside = line.beside(rate)
        return n_s * (rate - stable) / (rate * (1 - rate)) + (
            line.ratio * n_c * (beside - canary) / (beside * (1 - beside))
        )

    limit = min(1.0, (1 - line.more) / line.ratio) * (1 - TINY)
    straight_up = np.clip((canary - line.more) / line.ratio, TINY, limit)
    low, high = np.minimum(stable, straight_up), np.maximum(stable, straight_up)
    found = elementwise.find_root(slope, (low, high), args=(n_s, n_c, stable, canary))
    return np.asarray(found.x)


def needed(tallies: Tallies, line: Line, side: Side, *, alpha: float, power: float = 0.97) -> float:
    """About how many more requests of the canary decide for this side; infinity when they would not.

    The canary is taken to go on as it was seen to be, and like stable as far as it was not seen.

    Args:
        tallies: what was counted.
        line: where better ends and worse begins.
        side: what to find evidence for.
        alpha: share of errors.
        power: the chance with which so many do.
    """
    if not tallies.stable_n.sum():
        return np.inf
    stable, truth, per_request = _assumed(tallies)
    if line.beside(stable) >= 1 - TINY:
        return np.inf
    canary = _alternatives(stable, line, side)
    null_s = _nearest(per_request, np.array(1.0), stable, canary, line)
    null_c = line.beside(null_s)
    of_stable, of_canary = _bet(stable, null_s), _bet(canary, null_c)
    growth = per_request * _mean(of_stable, stable) + _mean(of_canary, truth)
    variance = per_request * _variance(of_stable, stable) + _variance(of_canary, truth)
    have = _log_bets(tallies, line, side).sum(axis=0) + np.log(STAKES)
    missing = np.maximum(-np.log(alpha) - have, 0.0)
    spread = norm.ppf(power) * np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (spread + np.sqrt(spread**2 + 4 * growth * missing)) / (2 * growth)
    return float(np.min(np.where(growth > 0, root**2, np.inf)))


def _assumed(tallies: Tallies) -> tuple[Floats, Floats, Floats]:
    """Both tracks' rates as a plan takes them to be, and stable's requests per request of the canary."""
    total = tallies.stable_n.sum()
    seen = (tallies.stable_x.sum() + 0.5) / (total + 1)
    stable = np.array(min(seen + CAUTION * np.sqrt(seen * (1 - seen) / (total + 1)), 1 - TINY))
    asked = tallies.canary_n.sum()
    truth = (tallies.canary_x.sum() + PRIOR_REQUESTS * stable) / (asked + PRIOR_REQUESTS)
    together = tallies.stable_n[tallies.canary_n > 0].sum()
    return stable, truth, np.array(together / asked if together else 1.0)


def _bet(alternative: Floats, null: Floats) -> tuple[Floats, Floats]:
    """What one request adds to the evidence if it counts, and if it does not."""
    return np.log(alternative / null), np.log((1 - alternative) / (1 - null))


def _mean(bet: tuple[Floats, Floats], rate: Floats) -> Floats:
    return rate * bet[0] + (1 - rate) * bet[1]


def _variance(bet: tuple[Floats, Floats], rate: Floats) -> Floats:
    return rate * (1 - rate) * (bet[0] - bet[1]) ** 2
