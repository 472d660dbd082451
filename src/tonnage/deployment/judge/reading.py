"""Measure both tracks: Prometheus for what requests met, Kubernetes for what became of the pods."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil

import numpy as np

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.judge import counters, pods
from tonnage.deployment.judge.config import JudgeConfig
from tonnage.deployment.judge.counters import Whose
from tonnage.deployment.judge.measurements import (
    AGREEMENT,
    CONTAINERS,
    EMPTY_SLATES,
    ERRORS,
    ITEMS,
    LATENCY,
    MEMORY,
    Container,
    Counted,
    Observed,
    Spread,
    Timed,
    Track,
)
from tonnage.deployment.judge.prometheus import Grid, Prometheus
from tonnage.errors import ClusterError, DependencyError, NotFoundError, RequirementError

REQUESTS = (ERRORS, "fallbacks", LATENCY, EMPTY_SLATES, ITEMS, AGREEMENT)
"""What Prometheus measures."""

OF_SLATES = {
    EMPTY_SLATES: "tonnage_empty_slates_total",
    ITEMS: "tonnage_slate_items_total",
    AGREEMENT: "tonnage_slate_agreement",
}
"""Measurements that recommenders of an older Tonnage lack, and the metrics they come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which canary, and since when.

    Args:
        name: the Helm release.
        namespace: where it is.
        config: which tracks, and how to measure.
        since: when the canary's traffic began.
    """

    name: str
    namespace: str
    config: JudgeConfig
    since: datetime

    def whose(self, track: str) -> Whose:
        """Whose series and pods a track's are."""
        config = self.config
        return Whose(track=track, namespace=self.namespace, matchers=config.matchers, route=config.route)


def began(access: ClusterAccess, *, name: str, namespace: str, canary: str) -> datetime:
    """When the canary's first living pod was made.

    Raises:
        ClusterError: the cluster does not answer.
        NotFoundError: it has no pod.
    """
    whose = Whose(track=canary, namespace=namespace)
    found = pods.began(pods.of_track(pods.pods_of(access, name=name, namespace=namespace), _labels(whose)))
    if found is None:
        raise NotFoundError(
            f"the track {canary} has no pod", hint="Is the namespace right?", name=name, namespace=namespace
        )
    return found


def observe(trial: Trial, *, prometheus: Prometheus, access: ClusterAccess | None, now: datetime) -> Observed:
    """Measure both tracks until now. What cannot be measured is missing, with the reason.

    Args:
        trial: which.
        prometheus: what counts requests.
        access: the cluster with the pods; None when there is none to ask.
        now: the end of the last window, or a little later.

    Raises:
        ConfigError: more windows than Prometheus gives at a time.
    """
    missing: dict[str, str] = {}
    stable, canary = _containers(trial, access, missing)
    grid = _grid(trial, now)
    if grid.windows < 1:
        missing |= dict.fromkeys(REQUESTS, "the first window is not over yet")
        return Observed(stable=stable, canary=canary, missing=missing)
    try:
        reads = [
            counters.read(prometheus, trial.whose(each), grid)
            for each in (trial.config.stable, trial.config.canary)
        ]
    except DependencyError as error:
        missing |= dict.fromkeys(REQUESTS, str(error))
        return Observed(stable=stable, canary=canary, missing=missing)
    counts, times, spread = counters.counted(*reads), counters.timed(*reads), counters.spread(*reads)
    here = replace(stable, counted=counts[0], timed=times[0], spread=spread[0])
    there = replace(canary, counted=counts[1], timed=times[1], spread=spread[1])
    for name, metric in OF_SLATES.items():
        for track, which in ((there, trial.config.canary), (here, trial.config.stable)):
            if name not in track.counted and name not in track.spread:
                missing[name] = f"the track {which} does not export {metric}"
    return Observed(stable=here, canary=_only_since(there, trial, grid), missing=missing)


def _grid(trial: Trial, now: datetime) -> Grid:
    """Windows that stay the same at every look, so that what was proved once stays proved."""
    step = trial.config.window_s
    start = int(trial.since.timestamp()) - ceil(trial.config.history_s / step) * step
    return Grid(start=start, step=step, windows=int(now.timestamp() - start) // step)


def _only_since(canary: Track, trial: Trial, grid: Grid) -> Track:
    """A track of this name may have carried another release before."""
    history = ceil(trial.config.history_s / trial.config.window_s)
    on_trial = np.arange(grid.windows) >= history
    counted = {
        name: Counted(each.requests * on_trial, each.events * on_trial)
        for name, each in canary.counted.items()
    }
    timed = {name: Timed(each.bounds, each.counts * on_trial[:, None]) for name, each in canary.timed.items()}
    spread = {
        name: Spread(each.slates * on_trial, each.counts * on_trial[:, None])
        for name, each in canary.spread.items()
    }
    return replace(canary, counted=counted, timed=timed, spread=spread)


def _containers(trial: Trial, access: ClusterAccess | None, missing: dict[str, str]) -> tuple[Track, Track]:
    if access is None:
        missing |= dict.fromkeys((CONTAINERS, MEMORY), "there is no cluster to ask")
        return Track(), Track()
    try:
        found = pods.pods_of(access, name=trial.name, namespace=trial.namespace)
    except (ClusterError, RequirementError) as error:
        missing |= dict.fromkeys((CONTAINERS, MEMORY), str(error))
        return Track(), Track()
    memory: dict[tuple[str, str], int] = {}
    missing[CONTAINERS] = (
        f"the track {trial.config.canary} of {trial.name} has no pod in namespace {trial.namespace}"
    )
    try:
        memory = pods.memory_of(access, namespace=trial.namespace)
        missing[MEMORY] = "the metrics API does not know every container of the canary yet"
    except ClusterError as error:
        missing[MEMORY] = str(error)

    def of(track: str) -> list[Container]:
        own = pods.of_track(found, _labels(trial.whose(track)))
        return pods.containers(own, since=trial.since.astimezone(UTC), memory=memory)

    return Track(containers=of(trial.config.stable)), Track(containers=of(trial.config.canary))


def _labels(whose: Whose) -> Mapping[str, str]:
    name, value = whose.label
    return {f"tonnage.dev/{name}": value}
