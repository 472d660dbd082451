"""What an admission decides by, and what it decided, on a timer: no request pays for either."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from prometheus_client import Counter, Gauge

from tonnage.serving.admission.admission import Admission, Reason
from tonnage.serving.memory.cgroup import Usage, usage
from tonnage.serving.metrics import Metrics

EVERY_S = 0.25
"""Seconds between two looks at the memory; a pod fills what is above the watermark in more."""


@asynccontextmanager
async def watched(
    admission: Admission,
    metrics: Metrics,
    *,
    every_s: float = EVERY_S,
    memory: Callable[[], Usage | None] = usage,
) -> AsyncIterator[None]:
    """Tell an admission how full the memory is, and the metrics what it does, while the context lasts."""
    window = _Window(admission, metrics, memory)
    window.look()
    watcher = asyncio.create_task(_watch(window, every_s))
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _watch(window: "_Window", every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        window.look()


class _Window:
    """One admission's metrics."""

    def __init__(self, admission: Admission, metrics: Metrics, memory: Callable[[], Usage | None]) -> None:
        self._admission, self._memory = admission, memory
        labels, values = list(metrics.labels), metrics.labels

        def gauge(name: str, says: str) -> Gauge:
            made = Gauge(name, says, labels, registry=metrics.registry, multiprocess_mode="livesum")
            return made.labels(**values)

        self._limit = gauge("tonnage_admission_limit", "Requests that may be inside now.")
        self._queued = gauge("tonnage_admission_queued", "Requests inside that wait for their turn.")
        refused = Counter(
            "tonnage_admission_refused",
            "Requests refused: queue, memory or deadline.",
            [*labels, "reason"],
            registry=metrics.registry,
        )
        self._refused = {reason: refused.labels(**values, reason=reason) for reason in Reason}
        self._told = dict.fromkeys(Reason, 0)

    def look(self) -> None:
        """Read the memory, write the metrics."""
        now = self._memory()
        self._admission.memory_share = now.needed / now.limit if now and now.limit else 0.0
        self._limit.set(self._admission.limit)
        self._queued.set(self._admission.queued)
        for reason, count in self._admission.refused.items():
            self._refused[reason].inc(count - self._told[reason])
            self._told[reason] = count
