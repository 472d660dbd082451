"""Two tracks under simulated traffic, as a judge would measure them."""

from dataclasses import dataclass

import numpy as np

from tonnage.deployment.canary.measurements import (
    ERRORS,
    FALLBACK,
    LATENCY,
    Container,
    Counted,
    Observed,
    Timed,
    Track,
)

BOUNDS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.4, 1.0, 5.0)
MIB = 2**20
HISTORY = 30
"""Windows before the canary."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a track behaves.

    Args:
        requests: expected per window.
        errors: share of them.
        fallbacks: share of slates with `deadline`.
        median_s: of a log-normal time to answer.
        spread: its sigma.
    """

    requests: float
    errors: float = 0.0
    fallbacks: float = 0.0
    median_s: float = 0.018
    spread: float = 0.35


def track(rng: np.random.Generator, behaviour: Behaviour, *, windows: int, silent: int = 0) -> Track:
    """A track's measurements; it has no traffic in the first `silent` windows."""
    requests = rng.poisson(behaviour.requests, windows) * (np.arange(windows) >= silent)
    errors = rng.binomial(requests, behaviour.errors)
    slates = requests - errors
    times = [rng.lognormal(np.log(behaviour.median_s), behaviour.spread, size) for size in slates]
    edges = (0.0, *BOUNDS_S, np.inf)
    return Track(
        counted={
            ERRORS: Counted(requests, errors),
            f"{FALLBACK}deadline": Counted(slates, rng.binomial(slates, behaviour.fallbacks)),
        },
        timed={LATENCY: Timed(BOUNDS_S, np.array([np.histogram(each, edges)[0] for each in times]))},
        containers=(container(),),
    )


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
    rng: np.random.Generator, stable: Behaviour, canary: Behaviour, *, windows: int, history: int = HISTORY
) -> Observed:
    """Both tracks, `windows` of them since the canary began."""
    total = history + windows
    return Observed(
        stable=track(rng, stable, windows=total), canary=track(rng, canary, windows=total, silent=history)
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
        containers=whole.containers,
    )
