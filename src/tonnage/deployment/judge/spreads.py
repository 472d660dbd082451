"""Two spreads compared: over which kinds the slates of each track are spread, and how far apart that is.

The distance is in total variation: the share of what the canary shows that stable does not show as often, or
1 less the overlap. It is the largest difference, over all sets of kinds, between what the tracks have in
that set. So a set that the windows before have chosen turns it into two rates, which `evidence` can weigh:
whatever set was chosen, rates farther apart than is tolerated prove that the spreads are.

Sources: Podkopaev, Ramdas, "Sequential predictive two-sample and independence testing", NeurIPS 2023, for
bets on a difference learned from what came before. McDiarmid, "On the method of bounded differences" (1989),
for what a pass rests on.
"""

import numpy as np
from numpy.typing import NDArray

from tonnage.deployment.judge.evidence import Floats, Tallies
from tonnage.deployment.judge.measurements import Spread

LEARNING = 10
"""Slates of the canary that choose the first set."""

HALF = 0.5

Sets = NDArray[np.bool_]
"""Kinds that belong to a set, per window, bool [windows, kinds]."""


def ahead(stable: Spread, canary: Spread) -> Tallies:
    """What both tracks show of the kinds that the canary was seen to show oftener than stable does."""
    chosen = _before(canary) > _before(stable)
    return _within(stable, canary, chosen, chosen)


def densest(stable: Spread, canary: Spread) -> Tallies:
    """What each track shows of its own commonest kinds, as many as held half of what stable shows."""
    theirs, own = _before(stable), _before(canary)
    descending = -np.sort(-theirs, axis=1)
    count = 1 + (np.cumsum(descending, axis=1) < HALF * theirs.sum(axis=1, keepdims=True)).sum(axis=1)
    return _within(stable, canary, _first(theirs, count), _first(own, count))


def disorder(stable: Spread, canary: Spread) -> Tallies:
    """What both tracks lack to an agreement of 1, of kinds that are equal parts from 0 to 1."""
    kinds = stable.counts.shape[1]
    lacks = 1 - (np.arange(kinds) + 0.5) / kinds
    return Tallies(stable.asked, stable.shown @ lacks, canary.asked, canary.shown @ lacks)


def rates(tallies: Tallies) -> tuple[float, float]:
    """Stable's rate and the canary's, in the windows that are compared; 0 where there is none."""
    compared = tallies.compared
    here, there = (
        float(x[compared].sum() / max(n[compared].sum(), 1))
        for x, n in ((tallies.stable_x, tallies.stable_n), (tallies.canary_x, tallies.canary_n))
    )
    return here, there


def distance(stable: Spread, canary: Spread) -> float:
    """Total variation between what was seen of both while both were asked, from 0 to 1."""
    both = _both(stable, canary)
    here, there = (_shares(each.shown[both].sum(axis=0)) for each in (stable, canary))
    return float(np.abs(here - there).sum() / 2)


def effective(spread: Spread) -> float:
    """Over how many kinds it is spread: the exponential of its entropy (a Hill number of order 1)."""
    shares = _shares(spread.shown.sum(axis=0))
    seen = shares[shares > 0]
    return float(np.exp(-(seen * np.log(seen)).sum()))


def radius(stable_n: float, canary_n: float, windows: int, *, alpha: float) -> float:
    """What a distance may be larger than it was seen to be, at every look together but for a chance `alpha`.

    No kind enters: a distance that is seen is, on average, too large already.
    """
    if not stable_n or not canary_n:
        return 1.0
    return float(np.sqrt(_cost(windows, alpha) * (1 / stable_n + 1 / canary_n) / 2))


def needed_to_pass(tallies: Tallies, seen: float, limit: float, *, alpha: float) -> float:
    """About how many more slates of the canary show that a distance stays below a limit, if it stays."""
    if seen >= limit:
        return np.inf
    compared = tallies.compared
    canary_n = tallies.canary_n[compared].sum()
    per_slate = tallies.stable_n[compared].sum() / canary_n if canary_n else 1.0
    whole = _cost(2 * max(int(compared.sum()), 1), alpha) * (1 + 1 / per_slate) / 2 / (limit - seen) ** 2
    return float(max(1.0, whole - canary_n))


def _cost(windows: int, alpha: float) -> float:
    # Each look has its part of the chance, and all parts together are the whole.
    return float(np.log(max(windows, 1) * (windows + 1) / alpha))


def _within(stable: Spread, canary: Spread, of_stable: Sets, of_canary: Sets) -> Tallies:
    known = np.cumsum(canary.asked) - canary.asked >= LEARNING
    if known.any():
        # Windows without a set of their own tell what stable has in the first one.
        of_stable = np.where(known[:, None], of_stable, of_stable[known.argmax()])
    return Tallies(
        stable.asked,
        (stable.shown * of_stable).sum(axis=1),
        canary.asked * known,
        (canary.shown * of_canary).sum(axis=1) * known,
    )


def _before(spread: Spread) -> Floats:
    """Shares of each kind in all windows before each, float [windows, kinds]."""
    return _shares(np.cumsum(spread.shown, axis=0) - spread.shown)


def _shares(shown: Floats) -> Floats:
    return np.asarray(shown / np.maximum(shown.sum(axis=-1, keepdims=True), 1e-12))


def _first(shares: Floats, count: NDArray[np.int64]) -> Sets:
    """The commonest kinds, so many in each window."""
    places = np.argsort(np.argsort(-shares, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(places < count[:, None])


def _both(stable: Spread, canary: Spread) -> Sets:
    return np.asarray((stable.asked > 0) & (canary.asked > 0))
