"""What a service counts and logs of its requests, whatever door they come through."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import structlog

from tonnage.serving.metrics import Metrics

REFUSALS_EVERY_S = 1.0
"""An overload refuses thousands of requests a second; one log line in that time says how many."""

_QUIET_ROUTES = frozenset(
    {"/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/grpc.health.v1.Health/Check"}
)


@dataclass(slots=True, kw_only=True)
class Answered:
    """One request that has been answered.

    Attributes:
        request_id: under which the log has it.
        method: of HTTP; POST for a call of gRPC, which is one.
        route: path that the service has, or `other`.
        status: of HTTP, or the name of gRPC's.
        failed: whether it is worth a line whatever `log_every` says.
        refused: why it was not let in, empty if it was.
        seconds: from its head to the end of its answer.
    """

    request_id: str
    method: str
    route: str
    status: int | str
    failed: bool
    refused: str
    seconds: float


@dataclass(slots=True)
class Ledger:
    """Counts and logs requests; learns where to when the service starts.

    Attributes:
        log_every: one in so many successful requests is logged.
        metrics: of this process.
        log: says who answers in every line.
    """

    log_every: int = 1
    metrics: Metrics | None = None
    log: Any = field(default_factory=structlog.get_logger)
    _seen: int = 0
    _refused: int = 0
    _told_at: float = -math.inf

    def entered(self) -> None:
        """A request began."""
        if self.metrics:
            self.metrics.entered()

    def left(self, one: Answered) -> None:
        """A request ended."""
        if self.metrics:
            self.metrics.answered(one.route, one.status, one.seconds)
        if one.refused:
            self._tell_refusals(one.refused)
            return
        self._seen += 1
        if not one.failed and (one.route in _QUIET_ROUTES or self._seen % self.log_every):
            return
        self.log.info(
            "request",
            request_id=one.request_id,
            method=one.method,
            route=one.route,
            status=one.status,
            ms=round(one.seconds * 1000, 2),
        )

    def _tell_refusals(self, latest: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._told_at >= REFUSALS_EVERY_S:
            self.log.warning("refused", requests=self._refused, latest=latest)
            self._refused, self._told_at = 0, now
