"""The memory plan beside what is measured: at `GET /v1/memory` and as metrics."""

import threading
from collections.abc import Sequence
from typing import Any

import orjson
from prometheus_client import Gauge
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tonnage.serving.memory.cgroup import usage
from tonnage.serving.memory.plan import Plan
from tonnage.serving.memory.terms import process_bytes
from tonnage.serving.metrics import Metrics

EVERY_S = 10.0
"""Seconds between two measurements for the metrics; one walks the page table of the index, for 2 ms a GiB."""


class MemoryReport:
    """What a worker tells of its pod's memory.

    Args:
        plan: of the pod.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def routes(self) -> Sequence[BaseRoute]:
        """`GET /v1/memory`."""
        return [Route("/v1/memory", self._show)]

    async def _show(self, _request: Request) -> Response:
        measured = await run_in_threadpool(measure)
        content = orjson.dumps({**self.plan.as_json(), "measured_bytes": measured})
        return Response(content, media_type="application/json")

    def observe(self, metrics: Metrics) -> None:
        """Add the plan's gauges, and those that are measured from now on until the process ends."""
        labels = metrics.labels

        def gauge(name: str, says: str, *more: str, mode: Any = "livemax") -> Gauge:
            names = (*labels, *more)
            return Gauge(name, says, names, registry=metrics.registry, multiprocess_mode=mode)

        planned = gauge("tonnage_memory_planned_bytes", "Memory that the plan keeps for each part.", "part")
        chosen = self.plan.chosen
        parts = {each.name: each.bytes for each in self.plan.terms}
        parts |= {"index": chosen.resident_bytes, "swap": chosen.swap_bytes}
        for part, size in parts.items():
            planned.labels(**labels, part=part).set(size)
        if self.plan.limit is not None:
            limit = gauge("tonnage_memory_limit_bytes", "Memory that the pod may use, by which it planned.")
            limit.labels(**labels).set(self.plan.limit)
        info = gauge("tonnage_memory_index_info", "The index that is served; always 1.", "index")
        info.labels(**labels, index=chosen.name).set(1)
        recall = gauge("tonnage_memory_index_recall", "Recall@100 of the index that is served.")
        recall.labels(**labels).set(chosen.recall_at_100)
        own = gauge(
            "tonnage_memory_process_bytes",
            "Memory of all workers; shared pages count once (Pss).",
            mode="livesum",
        ).labels(**labels)
        pod = gauge("tonnage_memory_measured_bytes", "Memory charged to the pod's cgroup.", "what")
        threading.Thread(target=_keep_measuring, args=(own, pod, labels), daemon=True).start()


def measure() -> dict[str, int]:
    """What this process and its pod hold now, in bytes."""
    found = {"process": process_bytes()}
    pod = usage()
    if pod is not None:
        found |= {"current": pod.current, "working_set": pod.working_set, "needed": pod.needed}
    return found


def _keep_measuring(own: Gauge, pod: Gauge, labels: Any) -> None:
    pause = threading.Event()
    while True:
        for what, size in measure().items():
            (own if what == "process" else pod.labels(**labels, what=what)).set(size)
        pause.wait(EVERY_S)
