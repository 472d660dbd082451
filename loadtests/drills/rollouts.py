"""Two tracks under simulated traffic, as the judge would measure them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tonnage.deployment.judge.measurements import (
    AGREEMENT,
    EMPTY_SLATES,
    ERRORS,
    FALLBACK,
    ITEMS,
    LATENCY,
    Container,
    Counted,
    Observed,
    Spread,
    Timed,
    Track,
)

BOUNDS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.4, 1.0, 5.0)
MIB = 2**20
HISTORY = 30
"""Windows before the canary."""

USERS, KINDS, SHOWN, AGREEMENTS = 2_000, 64, 10, 20
SEED = 20111209

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Slates:
    """What each user is shown, always the same: the users of a track are few, and ask again.

    Attributes:
        items: chance of each bucket for one item, float [users, 64].
        agreement: which twentieth of 0 to 1, int [users].
    """

    items: Numbers
    agreement: NDArray[np.int64]

    def of(self, users: slice) -> "Slates":
        """What some of them are shown."""
        return Slates(items=self.items[users], agreement=self.agreement[users])


def good_slates(
    *, spread: float = 1.3, mixed: float = 0.0, agreement: float = 0.97, seed: int = SEED
) -> Slates:
    """Slates of a trained model.

    Args:
        spread: the larger, the more evenly the buckets are shown.
        mixed: share that another model shows instead.
        agreement: typical.
        seed: of the tastes and of the other model; equal ones make equal slates.
    """
    rng = np.random.default_rng(seed)
    popular, other = (rng.dirichlet(np.full(KINDS, spread)) for _ in range(2))
    base = (1 - mixed) * popular + mixed * other
    own = rng.dirichlet(np.full(KINDS, 0.15), USERS)
    spread_out = rng.beta(20 * agreement, 20 * (1 - agreement), USERS)
    kinds = np.minimum((spread_out * AGREEMENTS).astype(np.int64), AGREEMENTS - 1)
    return Slates(items=0.5 * base + 0.5 * own * base / (own @ base)[:, None], agreement=kinds)


def narrow_slates(*, items: int = SHOWN, seed: int = SEED) -> Slates:
    """The same few items for everybody."""
    rng = np.random.default_rng(seed)
    few = np.bincount(rng.integers(0, KINDS, items), minlength=KINDS) / items
    return Slates(items=np.tile(few, (USERS, 1)), agreement=np.full(USERS, AGREEMENTS - 3))


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a track behaves.

    Attributes:
        requests: expected per window.
        errors: share of them.
        fallbacks: share of slates with `deadline`.
        empty: share of slates without an item.
        median_s: of a log-normal time to answer.
        spread: its sigma.
        slates: what its users are shown.
    """

    requests: float
    errors: float = 0.0
    fallbacks: float = 0.0
    empty: float = 0.0
    median_s: float = 0.018
    spread: float = 0.35
    slates: Slates = field(default_factory=good_slates)


def track(
    rng: np.random.Generator,
    behaviour: Behaviour,
    *,
    windows: int,
    silent: int = 0,
    bounds: tuple[float, ...] = BOUNDS_S,
) -> Track:
    """A track's measurements; it has no traffic in the first `silent` windows."""
    requests = rng.poisson(behaviour.requests, windows) * (np.arange(windows) >= silent)
    errors = rng.binomial(requests, behaviour.errors)
    slates = requests - errors
    empty = rng.binomial(slates, behaviour.empty)
    times = [rng.lognormal(np.log(behaviour.median_s), behaviour.spread, size) for size in slates]
    edges = (0.0, *bounds, np.inf)
    return Track(
        counted={
            ERRORS: Counted(requests, errors),
            f"{FALLBACK}deadline": Counted(slates, rng.binomial(slates, behaviour.fallbacks)),
            EMPTY_SLATES: Counted(slates, empty),
        },
        timed={LATENCY: Timed(bounds, np.array([np.histogram(each, edges)[0] for each in times]))},
        spread=_spread(rng, behaviour.slates, slates - empty),
        containers=(container(),),
    )


def _spread(rng: np.random.Generator, slates: Slates, made: NDArray[np.int64]) -> dict[str, Spread]:
    items = np.zeros((len(made), KINDS), np.int64)
    agreement = np.zeros((len(made), AGREEMENTS), np.int64)
    for window, count in enumerate(made):
        users = rng.integers(0, len(slates.items), count)
        # Each user's own slate, drawn once per user and window: what one is shown hangs together.
        items[window] = rng.multinomial(SHOWN, slates.items[users]).sum(axis=0) if count else 0
        agreement[window] = np.bincount(slates.agreement[users], minlength=AGREEMENTS)
    return {ITEMS: Spread(made, items), AGREEMENT: Spread(made, agreement)}


def container(*, restarts: int = 0, ended: str = "", memory: int | None = 400 * MIB) -> Container:
    """A container of a pod with a limit of 768 MiB."""
    return Container(
        pod="shop-canary-ranker-1",
        name="ranker",
        restarts=restarts,
        ended=ended,
        memory=memory,
        limit=768 * MIB,
    )


def observed(
    rng: np.random.Generator,
    stable: Behaviour,
    canary: Behaviour,
    *,
    windows: int,
    history: int = HISTORY,
    bounds: tuple[float, ...] = BOUNDS_S,
) -> Observed:
    """Both tracks, `windows` of them since the canary began."""
    total = history + windows
    return Observed(
        stable=track(rng, stable, windows=total, bounds=bounds),
        canary=track(rng, canary, windows=total, silent=history, bounds=bounds),
    )


def until(whole: Observed, windows: int) -> Observed:
    """What a judge saw who looked after so many windows, the history among them."""
    return Observed(stable=_until(whole.stable, windows), canary=_until(whole.canary, windows))


def _until(whole: Track, windows: int) -> Track:
    return Track(
        counted={
            name: Counted(each.requests[:windows], each.events[:windows])
            for name, each in whole.counted.items()
        },
        timed={name: Timed(each.bounds, each.counts[:windows]) for name, each in whole.timed.items()},
        spread={
            name: Spread(each.slates[:windows], each.counts[:windows]) for name, each in whole.spread.items()
        },
        containers=whole.containers,
    )
