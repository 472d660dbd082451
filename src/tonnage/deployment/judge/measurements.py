"""What is measured of the two tracks, whoever measured it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tonnage.deployment.judge.evidence import Floats, Ints, Tallies

ERRORS = "errors"
FALLBACK = "fallback "
"""Begins the name of the counts of each named fallback."""
EMPTY_SLATES = "empty slates"
LATENCY = "latency"
ITEMS = "items shown"
AGREEMENT = "agreement"
CONTAINERS = "containers"
MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Counted:
    """How many requests there were, and how many of them count, per window.

    Args:
        requests: int [windows].
        events: int [windows], never more than requests.
    """

    requests: Ints
    events: Ints


@dataclass(frozen=True, slots=True)
class Timed:
    """A histogram per window.

    Args:
        bounds: upper ends of the buckets but the last, seconds, rising.
        counts: int [windows, buckets]; one bucket more than bounds.
    """

    bounds: tuple[float, ...]
    counts: Ints

    def above(self, bound: int) -> Counted:
        """Requests, and those that took longer than the bound at this position."""
        return Counted(self.counts.sum(axis=1), self.counts[:, bound + 1 :].sum(axis=1))


@dataclass(frozen=True, slots=True)
class Spread:
    """How what slates show is spread over kinds, per window.

    Args:
        slates: int [windows].
        counts: of what they show, int [windows, kinds]; a slate may show many things, which belong together.
    """

    slates: Ints
    counts: Ints

    @property
    def asked(self) -> Ints:
        """Slates in windows in which something was shown, int [windows]."""
        # A scrape may fall between two counters.
        return np.where(self.counts.sum(axis=1) > 0, self.slates, 0)

    @property
    def shown(self) -> Floats:
        """Counts in units of slates: each counts once, however much it shows; float [windows, kinds]."""
        per_count: Floats = self.asked / np.maximum(self.counts.sum(axis=1), 1)
        return np.asarray(self.counts * per_count[:, None])


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of a track's pods.

    Args:
        pod: its pod.
        name: its own name.
        restarts: how often it was started again since the canary began.
        ended: why it ended last since then, Kubernetes' word; empty when it did not.
        memory: bytes of its working set; None when nobody measured it.
        limit: bytes it may have; None without a limit.
    """

    pod: str
    name: str
    restarts: int = 0
    ended: str = ""
    memory: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What is known of one track. What is not in here was not measured.

    Args:
        counted: by name, such as `errors` or `fallback deadline`.
        timed: histograms by name, such as `latency`.
        spread: over kinds, by name: `items shown`, `agreement`.
        containers: of its pods.
        figures: single numbers by name, such as the share of the catalogue that its slates show.
    """

    counted: Mapping[str, Counted] = field(default_factory=dict)
    timed: Mapping[str, Timed] = field(default_factory=dict)
    spread: Mapping[str, Spread] = field(default_factory=dict)
    containers: Sequence[Container] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Both tracks over the same windows, the time before the canary included.

    Args:
        stable: the track that serves.
        canary: the track on trial.
        missing: why a measurement could not be taken, by its name.
    """

    stable: Track
    canary: Track
    missing: Mapping[str, str] = field(default_factory=dict)


def tallies(stable: Counted, canary: Counted) -> Tallies:
    """Both tracks' counts side by side."""
    # A scrape may fall between two counters, so that an event seems to have no request.
    return Tallies(
        stable.requests,
        np.minimum(stable.events, stable.requests),
        canary.requests,
        np.minimum(canary.events, canary.requests),
    )
