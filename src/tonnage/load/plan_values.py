"""A capacity plan as the Helm values that `helm upgrade -f` takes."""

import math
from pathlib import Path
from typing import Any

import yaml

from tonnage.files import whole_file
from tonnage.load.line import MIB
from tonnage.load.planning import CapacityPlan, Size

HEAD = """\
# Written by `tonnage load plan` for {rate:g} requests/s with {headroom:.0%} headroom, and for up to {peak:g}
# times that rate with the autoscalers. Give it to `helm upgrade -f` after your own values.
"""

CONNECTIONS = 64
"""The chart's own bound of connections from a proxy to the recommenders."""


def values_of(plan: CapacityPlan, *, walked: str = "retriever") -> dict[str, Any]:
    """The chart's values; only what the plan decides.

    Args:
        plan: what carries the rate.
        walked: the bento whose memory limit was walked, which serves the index.
    """
    values: dict[str, Any] = {each.bento: _bento(each) for each in plan.chosen.sizes}
    if plan.pinned:
        values[walked]["env"] = {"TONNAGE_INDEX": plan.chosen.point.place.precision}
    inside = plan.demand.peak * plan.demand.rate * plan.objective.latency_ms / 1000
    if inside > CONNECTIONS:
        # Little's law, with the objective as the time: more are on their way at once than the chart allows.
        values["gateway"] = {"maxConnections": math.ceil(inside)}
    return values


def _bento(size: Size) -> dict[str, Any]:
    cpu = f"{round(size.cpu_cores * 1000)}m"
    return {
        "replicas": size.pods,
        "resources": {
            "requests": {"cpu": cpu, "memory": f"{math.ceil(size.memory_bytes / MIB)}Mi"},
            # No CPU limit: throttling shows as a long tail of latency.
            "limits": {"memory": f"{math.ceil(size.limit_bytes / MIB)}Mi"},
        },
        "autoscaling": {
            "enabled": True,
            "minReplicas": size.pods,
            "maxReplicas": size.most,
            "targetCPU": cpu,
        },
    }


def write_plan(plan: CapacityPlan, file: Path, *, walked: str = "retriever") -> None:
    """Write the values; the same plan, the same bytes."""
    demand = plan.demand
    head = HEAD.format(rate=demand.rate, headroom=demand.headroom, peak=demand.peak)
    text = head + yaml.safe_dump(values_of(plan, walked=walked), sort_keys=False)
    with whole_file(file) as fresh:
        fresh.write_text(text, encoding="utf-8")
