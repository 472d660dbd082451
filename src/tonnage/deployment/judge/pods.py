"""The pods of a track: which ended, and how full they are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.judge.measurements import Container
from tonnage.errors import ClusterError

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""


def pods_of(access: ClusterAccess, *, name: str, namespace: str) -> Sequence[Object]:
    """Every pod of a Helm release.

    Raises:
        ClusterError: the cluster does not answer.
    """
    selector = f"app.kubernetes.io/instance={name}"
    found: Any = access.get("pods", "--namespace", namespace, "--selector", selector)
    return list(found["items"])


def memory_of(access: ClusterAccess, *, namespace: str) -> dict[tuple[str, str], int]:
    """Bytes of the working set by pod and container, as metrics-server has them.

    Raises:
        ClusterError: there is no metrics-server, or it does not answer.
    """
    try:
        said = access.run_kubectl("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")
    except ClusterError as error:
        raise ClusterError(f"the cluster's metrics API does not tell memory: {error.problem}") from error
    return memory_told(json.loads(said))


def memory_told(metrics: Object) -> dict[tuple[str, str], int]:
    """Bytes of the working set by pod and container, out of a PodMetricsList. Pure."""
    return {
        (pod["metadata"]["name"], container["name"]): int(parse_quantity(container["usage"]["memory"]))
        for pod in metrics["items"]
        for container in pod["containers"]
    }


def began(pods: Sequence[Object]) -> datetime | None:
    """When the first of the pods that live was made; None when none lives. Pure."""
    living = [pod for pod in pods if pod.get("status", {}).get("phase") in {"Pending", "Running"}]
    return min((_time(pod["metadata"]["creationTimestamp"]) for pod in living), default=None)


def of_track(pods: Sequence[Object], labels: Mapping[str, str]) -> list[Object]:
    """The pods that have these labels. Pure."""
    return [pod for pod in pods if labels.items() <= pod["metadata"].get("labels", {}).items()]


def containers(
    pods: Sequence[Object], *, since: datetime, memory: Mapping[tuple[str, str], int]
) -> list[Container]:
    """Every container of the pods. Pure.

    Args:
        pods: of one track.
        since: what ended before does not count.
        memory: by pod and container.
    """
    return [each for pod in pods for each in _containers_of(pod, since, memory)]


def _containers_of(
    pod: Object, since: datetime, memory: Mapping[tuple[str, str], int]
) -> Iterator[Container]:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    limits = {
        each["name"]: each.get("resources", {}).get("limits", {}).get("memory")
        for each in pod["spec"]["containers"]
    }
    statuses = {each["name"]: each for each in status.get("containerStatuses", [])}
    for container, limit in limits.items():
        ended = _ended(statuses.get(container, {}), since)
        yield Container(
            pod=name,
            name=container,
            restarts=statuses[container].get("restartCount", 0) if ended else 0,
            ended=(ended.get("reason") or "Error") if ended else _evicted(pod, since),
            memory=memory.get((name, container)),
            limit=int(parse_quantity(limit)) if limit else None,
        )


def _ended(status: Object, since: datetime) -> Object | None:
    """How the container ended since then; None when it did not."""
    for state in (status.get("state", {}), status.get("lastState", {})):
        ended = state.get("terminated")
        if ended and (not ended.get("finishedAt") or _time(ended["finishedAt"]) >= since):
            return dict(ended)
    return None


def _evicted(pod: Object, since: datetime) -> str:
    status = pod.get("status", {})
    if status.get("phase") != "Failed" or _time(pod["metadata"]["creationTimestamp"]) < since:
        return ""
    return status.get("reason") or "Failed"


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)
