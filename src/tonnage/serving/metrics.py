"""What the services count. Every label has a bounded set of values: a scanner's paths all count as `other`.

BentoML's own request metrics label the raw path, so they are switched off in the bentos and these stand at
`/metrics` instead.
"""

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

from tonnage.serving.slate_metrics import SlateMetrics
from tonnage.serving.slates import Slate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1),
    *(0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 1.0, 5.0),
)
"""Histogram bounds, in seconds: fine where the service objectives are, and below the deadline never so coarse
that a canary twice as slow as the stable track would stay in one bucket."""

LABELS = ("service", "track", "release")

M = TypeVar("M", Counter, Histogram)


class Metrics:
    """The counters of one process.

    Args:
        service: retriever, ranker or recommender.
        track: label of every sample.
        release: label of every sample.
    """

    def __init__(self, *, service: str, track: str, release: str) -> None:
        registry = self._registry = CollectorRegistry()
        # Not asked of the environment: Feast sets the variable when it is imported, often too late for the
        # client to heed it.
        self._shared = ValueClass is not MutexValue
        self._own = {"service": service, "track": track, "release": release}
        self._requests = self._histogram(
            "tonnage_request_seconds", "Time to answer, per route and status.", "route", "status"
        )
        self._stages = self._histogram(
            "tonnage_stage_seconds", "Time of one part of a recommendation.", "stage"
        )
        self._fallbacks = self._counter(
            "tonnage_fallbacks", "Slates made without a part of the pipeline.", "fallback"
        )
        self._conflicts = self._counter(
            "tonnage_release_conflicts", "Internal calls refused because the other side held another release."
        ).labels(**self._own)
        self._slates = self._counter("tonnage_slates", "Slates by kind of user: known or cold.", "user")
        # There from the start: that nothing was empty is a finding too.
        self._empty = self._counter("tonnage_empty_slates", "Slates without an item.").labels(**self._own)
        self._shown = SlateMetrics(registry, self._own) if service == "recommender" else None
        self._candidates = self._counter("tonnage_candidates", "Candidates by proposing source.", "source")
        self._events = self._counter(
            "tonnage_events", "Events received, by outcome: new or known.", "outcome"
        )
        self._in_flight = Gauge(
            "tonnage_requests_in_flight",
            "Requests being answered now.",
            LABELS,
            registry=registry,
            multiprocess_mode="livesum",
        ).labels(**self._own)

        # A label lookup costs more than the count itself; the sets are small and bounded.
        self._request_of = cache(
            lambda route, status: self._child(self._requests, route=route, status=status)
        )
        self._stage_of = cache(lambda stage: self._child(self._stages, stage=stage))
        self._candidates_of = cache(lambda source: self._child(self._candidates, source=source))

    @property
    def registry(self) -> CollectorRegistry:
        """Where further metrics of the same process are added."""
        return self._registry

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of every sample: service, track, release."""
        return self._own

    def entered(self) -> None:
        """A request began."""
        self._in_flight.inc()

    def answered(self, route: str, status: int | str, seconds: float) -> None:
        """A request ended."""
        self._in_flight.dec()
        self._request_of(route, str(status)).observe(seconds)

    def made(self, slate: Slate) -> None:
        """A slate was made."""
        self._child(self._slates, user="cold" if slate.cold else "known").inc()
        if not slate.items:
            self._empty.inc()
        if self._shown:
            self._shown.made(slate)
        for name in slate.fallbacks:
            self._child(self._fallbacks, fallback=name).inc()
        for source, count in slate.candidates.items():
            self._candidates_of(source).inc(count)
        for stage, seconds in slate.seconds.items():
            self._stage_of(stage).observe(seconds)

    def conflict(self) -> None:
        """The other side of an internal call held another release."""
        self._conflicts.inc()

    def events(self, *, new: int, known: int) -> None:
        """A batch of events was stored."""
        self._child(self._events, outcome="new").inc(new)
        self._child(self._events, outcome="known").inc(known)

    def render(self) -> bytes:
        """All samples in Prometheus' text format; those of every worker, where there are several."""
        if not self._shared:
            return generate_latest(self._registry) + generate_latest(REGISTRY)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _child(self, metric: M, **labels: str) -> M:
        return metric.labels(**self._own, **labels)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, (*LABELS, *labels), registry=self._registry)

    def _histogram(self, name: str, says: str, *labels: str) -> Histogram:
        return Histogram(name, says, (*LABELS, *labels), registry=self._registry, buckets=BUCKETS_S)
