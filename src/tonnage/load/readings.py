"""What a cluster says of pods, made rows of a run. Pure.

Whoever knows a figure best is asked first. A pod knows its own queue, and its memory as it is now; the
kubelet measures every ten seconds or so, and tells of memory when the pod does not. What is charged to a
container and how often it had to wait for its CPU limit only the kubelet knows, and when it measured that.
The metrics API knows memory alone, later still.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kubernetes.utils.quantity import parse_quantity
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tonnage.deployment.judge.pods import Object, containers

Whose = tuple[str, str]
"""Pod and container."""

KUBELET = {
    "container_memory_working_set_bytes": "working_set",
    "container_cpu_usage_seconds_total": "cpu_s",
    "container_cpu_cfs_periods_total": "periods",
    "container_cpu_cfs_throttled_periods_total": "throttled",
    "container_oom_events_total": "oom_events",
}
"""Metrics of the kubelet that are read, and what they are here."""

MEASURED_AT = "measured_at"
"""When the kubelet measured a container's CPU time, seconds since 1970."""

COUNTED = ("cpu_s", "periods", "throttled")
"""What grows, and is told again until it is measured again."""

OWN = {
    "tonnage_admission_queued": "queue",
    "tonnage_requests_in_flight": "in_flight",
    "tonnage_admission_refused_total": "refused",
    "tonnage_memory_measured_bytes": "working_set",
}
"""The same of a pod's own `/metrics`."""

OOM_KILLED = "OOMKilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was told at one moment. What is not in here was not told.

    Args:
        pods: as Kubernetes objects.
        kubelet: of each container, by the names in `KUBELET`.
        memory: bytes of each container's working set, from the metrics API.
        own: of each pod, by the names in `OWN`.
    """

    pods: Sequence[Object]
    kubelet: Mapping[Whose, Mapping[str, float]] = field(default_factory=dict)
    memory: Mapping[Whose, int] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def of_kubelet(text: str, *, namespace: str) -> dict[Whose, dict[str, float]]:
    """What `/metrics/cadvisor` or `/metrics/resource` says of a namespace's containers.

    Raises:
        ValueError: it is no text of metrics.
    """
    found: dict[Whose, dict[str, float]] = {}
    for sample in _samples(text, KUBELET):
        labels = sample.labels
        # Without a container it is the whole pod, or a group above it; POD is the pause container.
        if labels.get("namespace") == namespace and labels.get("container") not in {None, "", "POD"}:
            figures = found.setdefault((labels["pod"], labels["container"]), {})
            figures[KUBELET[sample.name]] = figures.get(KUBELET[sample.name], 0.0) + sample.value
            if KUBELET[sample.name] == "cpu_s" and sample.timestamp is not None:
                figures[MEASURED_AT] = float(sample.timestamp)
    return found


def without_repeats(
    told: Mapping[Whose, Mapping[str, float]], measured: Mapping[Whose, float]
) -> dict[Whose, dict[str, float]]:
    """What the kubelet says, without counters of pods that it has not measured since the look before. Pure.

    Repeated, they would say that nothing was used meanwhile, and then that all of it was used at once.

    Args:
        told: of each container.
        measured: when what was told before had been measured.
    """
    fresh = {
        whose[0]
        for whose, figures in told.items()
        if MEASURED_AT not in figures or figures[MEASURED_AT] != measured.get(whose)
    }
    return {
        whose: {name: each for name, each in figures.items() if whose[0] in fresh or name not in COUNTED}
        for whose, figures in told.items()
    }


def of_pod(text: str) -> dict[str, float]:
    """What a pod's own `/metrics` says.

    Raises:
        ValueError: it is no text of metrics.
    """
    figures: dict[str, float] = {}
    for sample in _samples(text, OWN):
        if sample.name == "tonnage_memory_measured_bytes" and sample.labels.get("what") != "working_set":
            continue
        # A release of version 0.1 has, for a moment after each answer, one less than nobody in its queue.
        figures[OWN[sample.name]] = figures.get(OWN[sample.name], 0.0) + max(0.0, sample.value)
    return figures


def _samples(text: str, names: Mapping[str, str]) -> Iterator[Sample]:
    # A kubelet tells ten thousand lines; to parse them all would take longer than to be told them.
    wanted = re.compile(rf"^(?:{'|'.join(names)})[{{ ].*$", re.MULTILINE)
    lines = "\n".join(wanted.findall(text))
    for family in text_string_to_metric_families(lines + "\n"):
        yield from family.samples


def rows(told: Told, *, since: datetime, ooms_before: Mapping[Whose, float]) -> list[dict[str, Any]]:
    """One row for each pod of a track, of the columns of `runs.SERVER` but `at_s`.

    Args:
        told: at one moment.
        since: when the run began; what ended before does not count.
        ooms_before: what the kubelet had counted then.
    """
    ours = [pod for pod in told.pods if "tonnage.dev/track" in pod["metadata"].get("labels", {})]
    return [_row(pod, told, since, ooms_before) for pod in ours]


def _row(pod: Object, told: Told, since: datetime, ooms_before: Mapping[Whose, float]) -> dict[str, Any]:
    name, labels, status = pod["metadata"]["name"], pod["metadata"]["labels"], pod.get("status", {})
    statuses = status.get("containerStatuses", [])
    held = containers([pod], since=since, memory=told.memory)
    whose = [(name, each.name) for each in held]
    own, kubelet = told.own.get(name, {}), {one: told.kubelet.get(one, {}) for one in whose}
    killed_inside = any(
        kubelet[one].get("oom_events", 0.0) > ooms_before.get(one, kubelet[one].get("oom_events", 0.0))
        for one in whose
    )
    memory = _total([each.memory for each in held])
    now = own.get("working_set")
    # The container that tells it knows nothing of the pod's others.
    working_set = _first(now if len(held) == 1 else None, _sum(kubelet, "working_set"), memory, now)
    periods = _sum(kubelet, "periods")
    return {
        "pod": name,
        "track": labels["tonnage.dev/track"],
        "bento": labels.get("app.kubernetes.io/component", ""),
        "release": labels.get("tonnage.dev/release", ""),
        "memory_working_set": None if working_set is None else int(working_set),
        "memory_limit": int(_total([each.limit for each in held]) or 0),
        "cpu_s": _sum(kubelet, "cpu_s"),
        "cpu_limit": _cpu_limit(pod),
        "periods": None if periods is None else int(periods),
        "throttled": None if periods is None else int(_sum(kubelet, "throttled") or 0),
        **{column: own.get(column) for column in ("queue", "in_flight", "refused")},
        "restarts": sum(each.get("restartCount", 0) for each in statuses),
        "oom_killed": killed_inside
        or any(each.ended == OOM_KILLED for each in held)
        or any(_down(each) == OOM_KILLED for each in statuses),
        "ready": bool(statuses) and all(each.get("ready", False) for each in statuses),
    }


def _down(status: Object) -> str:
    """Why a container that does not run ended, however long ago: it is tried again ever more seldom."""
    ended = [status.get(state, {}).get("terminated") for state in ("state", "lastState")]
    if status.get("state", {}).get("running"):
        return ""
    return next((each.get("reason", "") for each in ended if each), "")


def _cpu_limit(pod: Object) -> float:
    """Cores that all containers may use together; 0 when one of them may use any number."""
    limits = [each.get("resources", {}).get("limits", {}).get("cpu") for each in pod["spec"]["containers"]]
    return float(_total([float(parse_quantity(each)) if each else None for each in limits]) or 0)


def _sum(kubelet: Mapping[Whose, Mapping[str, float]], figure: str) -> float | None:
    return _total([each.get(figure) for each in kubelet.values()])


def _total(figures: Sequence[float | None]) -> float | None:
    """Their sum; None when one of them is not known."""
    known = [each for each in figures if each is not None]
    return sum(known) if known and len(known) == len(figures) else None


def _first(*figures: float | None) -> float | None:
    return next((each for each in figures if each is not None), None)
