"""What Prometheus has of one track, as counts per window."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tonnage.deployment.judge.evidence import Ints
from tonnage.deployment.judge.measurements import (
    AGREEMENT,
    EMPTY_SLATES,
    ERRORS,
    FALLBACK,
    ITEMS,
    LATENCY,
    Counted,
    Spread,
    Timed,
)
from tonnage.deployment.judge.prometheus import Grid, Prometheus, Series, growth
from tonnage.errors import DependencyError

RELEASE = re.compile(r"r-\d{8}-[0-9a-f]{8}")
ANY_FALLBACK = f"{FALLBACK}of any name"

PRESENT = "tonnage_requests_in_flight{%s}"
"""There from a pod's first scrape on, also while nobody asks it anything."""

QUERIES: Mapping[str, str] = {
    # Probes and scrapes are requests too; they never fail, and would hide what users meet.
    "requests": 'sum without (route) (tonnage_request_seconds_count{%s,route=~"/v1/.*"})',
    "times": 'sum without (status) (tonnage_request_seconds_bucket{%s,route="ROUTE",status=~"2.."})',
    "slates": "sum without (user) (tonnage_slates_total{%s})",
    "fallbacks": "tonnage_fallbacks_total{%s}",
    "empty": "tonnage_empty_slates_total{%s}",
    "items": "tonnage_slate_items_total{%s}",
    "agreement": "tonnage_slate_agreement_bucket{%s}",
}
"""Counters of one process are added up, for they begin anew together; those of two processes never are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose series to read.

    Args:
        track: a track's name, or a release id.
        namespace: of its pods.
        matchers: more label matchers, as in PromQL.
        route: whose latency.
    """

    track: str
    namespace: str
    matchers: str = ""
    route: str = "/v1/recommendations"

    @property
    def label(self) -> tuple[str, str]:
        """What tells this track from others: a label of its metrics; its pods' begins with `tonnage.dev/`."""
        return ("release" if RELEASE.fullmatch(self.track) else "track"), self.track

    @property
    def neighbours(self) -> str:
        """Label matchers of the recommenders of every track."""
        own = f'service="recommender",namespace="{self.namespace}"'
        return f"{own},{self.matchers}" if self.matchers else own

    @property
    def selector(self) -> str:
        """Label matchers of this track's recommenders."""
        name, value = self.label
        return f'{self.neighbours},{name}="{value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One track's series.

    Args:
        found: by query.
        alive: bool [windows + 1], whether Prometheus had samples of any track at that time.
    """

    found: Mapping[str, Sequence[Series]]
    alive: NDArray[np.bool_]

    def grown(self, query: str, label: str = "", values: str = "") -> Ints:
        """What the series grew by together, int [windows].

        Args:
            query: its name.
            label: take only series in which this label has one of the values.
            values: as a regular expression.
        """
        none = np.zeros(len(self.alive) - 1, dtype=np.int64)
        return sum(
            (
                growth(each.values, self.alive)
                for each in self.found[query]
                if not label or re.fullmatch(values, each.labels[label])
            ),
            start=none,
        )

    def values_of(self, query: str, label: str) -> set[str]:
        """Every value of a label."""
        return {each.labels[label] for each in self.found[query]}


def read(prometheus: Prometheus, whose: Whose, grid: Grid) -> Read:
    """Ask for everything of one track.

    Raises:
        DependencyError: Prometheus does not answer, or has no series of the track at the end of the grid.
    """
    name, value = whose.label
    present = prometheus.series(PRESENT % whose.neighbours, grid)
    if not any(each.labels[name] == value and not np.isnan(each.values[-1]) for each in present):
        raise DependencyError(
            f"Prometheus has no present series {PRESENT % whose.selector}",
            hint="Is the namespace right, does the track have pods, and does Prometheus scrape them?",
            url=prometheus.url,
        )
    found = {
        name: prometheus.series((query % whose.selector).replace("ROUTE", whose.route), grid)
        for name, query in QUERIES.items()
    }
    alive: NDArray[np.bool_] = np.any([~np.isnan(each.values) for each in present], axis=0)
    return Read(found=found, alive=alive)


def counted(stable: Read, canary: Read) -> tuple[dict[str, Counted], dict[str, Counted]]:
    """The counts of both tracks under the same names."""
    names = stable.values_of("fallbacks", "fallback") | canary.values_of("fallbacks", "fallback")
    return _counted(stable, names), _counted(canary, names)


def _counted(track: Read, names: set[str]) -> dict[str, Counted]:
    slates = track.grown("slates")
    counts = {ERRORS: Counted(track.grown("requests"), track.grown("requests", "status", "5.."))}
    for name in sorted(names):
        counts[FALLBACK + name] = Counted(slates, track.grown("fallbacks", "fallback", re.escape(name)))
    if not names:
        counts[ANY_FALLBACK] = Counted(slates, np.zeros_like(slates))
    if track.found["empty"]:
        counts[EMPTY_SLATES] = Counted(slates, track.grown("empty"))
    return counts


def spread(stable: Read, canary: Read) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """What both tracks' slates are spread over, by the same kinds; nothing of a track that says none."""
    kinds = [
        sorted(stable.values_of(query, label) | canary.values_of(query, label), key=key)
        for query, label, key in (("items", "bucket", str), ("agreement", "le", float))
    ]
    return _spread(stable, *kinds), _spread(canary, *kinds)


def _spread(track: Read, buckets: Sequence[str], bounds: Sequence[str]) -> dict[str, Spread]:
    if not track.found["items"] or not track.found["agreement"]:
        return {}
    agreement = _between(track, "agreement", bounds)
    slates = agreement.sum(axis=1)
    items = np.stack([track.grown("items", "bucket", bucket) for bucket in buckets], axis=1)
    return {ITEMS: Spread(slates, items), AGREEMENT: Spread(slates, agreement)}


def timed(stable: Read, canary: Read) -> tuple[dict[str, Timed], dict[str, Timed]]:
    """The histograms of both tracks; a track without a request yet has empty ones."""
    known = stable.values_of("times", "le") | canary.values_of("times", "le")
    bounds = sorted(known, key=float)
    return {LATENCY: _timed(stable, bounds)}, {LATENCY: _timed(canary, bounds)}


def _timed(track: Read, bounds: Sequence[str]) -> Timed:
    if not bounds:
        return Timed((), np.zeros((len(track.alive) - 1, 1), dtype=np.int64))
    return Timed(tuple(float(each) for each in bounds[:-1]), _between(track, "times", bounds))


def _between(track: Read, query: str, bounds: Sequence[str]) -> Ints:
    """What a histogram counted in each bucket, int [windows, buckets]."""
    up_to = np.stack([track.grown(query, "le", re.escape(bound)) for bound in bounds], axis=1)
    # Scrapes of a process that counts meanwhile may differ by one between buckets.
    return np.maximum(np.diff(up_to, prepend=0), 0)
