"""What the judge promises about chance, on simulated rollouts at 30 requests/s and a tenth of the users.

Every rollout has its own seed, so that a run repeats itself. A look that fails a canary fails it for good, so
the first such look is found by halving, and the last look of all sees whether any look failed.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from drills.rollouts import (
    HISTORY,
    USERS,
    Behaviour,
    good_slates,
    narrow_slates,
    observed,
    until,
)
from measures import Measure, at_least, at_most
from tonnage.deployment.judge.config import JudgeConfig
from tonnage.deployment.judge.judging import judge
from tonnage.deployment.judge.measurements import Observed
from tonnage.deployment.judge.verdict import Outcome
from tonnage.serving.metrics import BUCKETS_S

CONFIG = JudgeConfig()
RATE, WEIGHT = 30.0, 0.1
LOOKS = 90
"""Windows of an equal pair: a quarter of an hour."""

FIRST_LOOK = 3
TENTH = int(WEIGHT * USERS)
GOOD = good_slates()
GOOD_BEHAVIOUR = {"errors": 0.002, "fallbacks": 0.01, "median_s": 0.015}
STABLE = Behaviour(
    requests=RATE * CONFIG.window_s * (1 - WEIGHT), slates=GOOD.of(slice(TENTH, None)), **GOOD_BEHAVIOUR
)
FAULTLESS = replace(STABLE, errors=0.0)
"""Stable as it is on the cluster, where a bad canary must be aborted in time."""

EQUAL = Behaviour(requests=RATE * CONFIG.window_s * WEIGHT, slates=GOOD.of(slice(TENTH)), **GOOD_BEHAVIOUR)
OWN = replace(EQUAL, errors=0.0)
TURNED = good_slates(mixed=0.7, agreement=0.25).of(slice(TENTH))
NEW = good_slates(mixed=0.5, agreement=0.9).of(slice(TENTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A canary that must be aborted.

    Attributes:
        name: in words.
        canary: how it behaves.
        within_s: seconds from its first request to the abort that are promised.
        spent_s: of them, seconds that go to scrapes, to the look, and to moving the weights back.
    """

    name: str
    canary: Behaviour
    within_s: float
    spent_s: float = 20.0


FAULTS = (
    Fault(name="errs on 5 %", canary=replace(EQUAL, errors=0.05), within_s=60),
    Fault(name="twice as slow", canary=replace(OWN, median_s=0.030), within_s=120),
    Fault(name="empty slates", canary=replace(OWN, empty=1.0), within_s=300),
    Fault(name="scores reversed", canary=replace(OWN, slates=TURNED), within_s=300),
    Fault(name="one slate for all", canary=replace(OWN, slates=narrow_slates()), within_s=300),
)


def measure(*, pairs: int, rollouts: int) -> list[Measure]:
    """Every promise about chance.

    Args:
        pairs: equal ones, for false aborts.
        rollouts: for every other figure.
    """
    aborted = sum(_each(_fails, range(pairs)))
    new = sum(_each(_new_passes, range(rollouts)))
    decided = sum(_each(_decided_as_planned, range(rollouts)))
    looks = f"a look every {CONFIG.window_s} s for {LOOKS * CONFIG.window_s} s"
    return [
        at_most(f"simulated: false aborts of {pairs:,} equal pairs, {looks}", 5, 100 * aborted / pairs, "%"),
        at_least("simulated: power at the sample size that was asked for", 90, 100 * decided / rollouts, "%"),
        at_least(
            f"simulated: other but good models that pass in {LOOKS} looks", 90, 100 * new / rollouts, "%"
        ),
        *(measured for fault in FAULTS for measured in _times(fault, rollouts)),
    ]


def _times(fault: Fault, rollouts: int) -> Iterable[Measure]:
    seconds = _each(_Abort(fault), range(rollouts))
    for share in (0.5, 0.9):
        yield at_most(
            f"simulated: {fault.name}, aborted after, {share:.0%} of rollouts",
            fault.within_s - fault.spent_s,
            sorted(seconds)[int(share * (len(seconds) - 1))],
            "s of traffic",
        )


def _each(work: Callable[[int], float], seeds: Sequence[int]) -> list[float]:
    # Spawned, since threads of numpy do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(work, seeds, chunksize=10))


def _seen(seed: int, canary: Behaviour, windows: int, stable: Behaviour = STABLE) -> Observed:
    rng = np.random.default_rng([20111209, seed])
    return observed(rng, stable, canary, windows=windows, bounds=BUCKETS_S)


def _outcome(seen: Observed) -> Outcome:
    return judge(seen, CONFIG).outcome


def _fails(seed: int) -> bool:
    return _outcome(_seen(seed, EQUAL, LOOKS)) is Outcome.FAIL


def _new_passes(seed: int) -> bool:
    return _outcome(_seen(seed, replace(EQUAL, slates=NEW), LOOKS)) is Outcome.PASS


def _decided_as_planned(seed: int) -> bool:
    """Whether an equal canary passes after as many more requests as the third look asked for."""
    whole = _seen(seed, EQUAL, 3 * LOOKS)
    first = judge(until(whole, HISTORY + FIRST_LOOK), CONFIG)
    if first.needs is None:
        return first.outcome is Outcome.PASS
    more = int(np.ceil(first.needs / EQUAL.requests))
    return _outcome(until(whole, HISTORY + FIRST_LOOK + more)) is Outcome.PASS


@dataclass(frozen=True, slots=True)
class _Abort:
    """Seconds of traffic until the first look that fails, infinite when none does."""

    fault: Fault

    def __call__(self, seed: int) -> float:
        windows = int(self.fault.within_s / CONFIG.window_s)
        whole = _seen(seed, self.fault.canary, windows, FAULTLESS)
        low, high = 0, windows + 1
        while high - low > 1:
            middle = (low + high) // 2
            fails = _outcome(until(whole, HISTORY + middle)) is Outcome.FAIL
            low, high = (low, middle) if fails else (middle, high)
        return high * CONFIG.window_s if high <= windows else float("inf")
