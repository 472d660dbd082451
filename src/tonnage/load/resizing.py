"""Memory limits of a retriever as Helm values and as a patch of a running pod. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tonnage.deployment.canary.tracks import STABLE
from tonnage.deployment.revisions import merged
from tonnage.load.line import Place
from tonnage.packaging.config import BENTOS

BENTO = "retriever"
"""Whose index it is, and so whose limit matters."""

INDEX = "TONNAGE_INDEX"
"""Variable that names the one index which a retriever may serve."""

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""

Values = Mapping[str, Any]
"""Helm values."""


def values_at(values: Values, place: Place, pods: Sequence[Object]) -> dict[str, Any]:
    """Helm values with which one retriever serves at a place, and nothing scales meanwhile. Pure.

    Args:
        values: as they are.
        place: limit and index.
        pods: that run now.
    """
    track = values["tracks"][STABLE]
    own = {bento: sum(component(each) == bento for each in pods) for bento in BENTOS}
    replicas = {**own, **(track.get("replicas") or {}), BENTO: 1}
    limit = str(place.memory_limit_bytes)
    at = {
        "env": {INDEX: place.precision},
        "resources": {"limits": {"memory": limit}, "requests": {"memory": _request(pods, limit)}},
    }
    overrides = track.get("overrides") or {}
    changed = {**overrides, BENTO: merged(overrides.get(BENTO) or {}, at)}
    tracks = {STABLE: {**track, "replicas": replicas, "overrides": changed}}
    return {**values, "tracks": tracks}


def _request(pods: Sequence[Object], limit: str) -> str:
    """What the retriever asks for now; no more than its limit, which Kubernetes would refuse."""
    [container, *_] = [c for each in pods if component(each) == BENTO for c in each["spec"]["containers"]]
    asked = container.get("resources", {}).get("requests", {}).get("memory", "0")
    return str(min(parse_quantity(asked), parse_quantity(limit)))


def resize_patch(
    pod: Object, limit: int, *, requested: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """The patch that gives the one container of a pod a memory limit; None where it has it. Pure.

    Args:
        pod: as it is.
        limit: bytes.
        requested: what its template requests; by default what it requests, no more than the limit.
    """
    [container] = pod["spec"]["containers"]
    resources = container.get("resources", {})
    now, asked = resources.get("limits", {}).get("memory"), resources.get("requests", {}).get("memory", "0")
    wanted = (requested or {}).get("memory", asked)
    if now == asked and now is not None and requested is None:
        # A pod whose requests are its limits stays of that class: Kubernetes refuses to change it.
        wanted = str(limit)
    request = min(parse_quantity(wanted), limit)
    if now is not None and parse_quantity(now) == limit and parse_quantity(asked) == request:
        return None
    changed = {"limits": {"memory": str(limit)}, "requests": {"memory": str(request)}}
    return {"spec": {"containers": [{"name": container["name"], "resources": changed}]}}


def limit_in_force(pod: Object) -> int:
    """What the kubelet has made of it; 0 while nothing is known."""
    [status] = pod["status"].get("containerStatuses") or [{}]
    return int(parse_quantity(status.get("resources", {}).get("limits", {}).get("memory", "0")))


def resizing(pod: Object) -> str:
    """Why a pod is not resized yet, in the kubelet's words."""
    conditions = pod["status"].get("conditions", [])
    said = [
        f"{each.get('reason', '')} {each.get('message', '')}".strip()
        for each in conditions
        if each["type"] in {"PodResizePending", "PodResizeInProgress"}
    ]
    return "; ".join(filter(None, said)) or "it says nothing"


def component(pod: Object) -> str:
    """Which bento a pod is of; empty if of none."""
    return str(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", ""))


def leaves(pod: Object) -> bool:
    """Whether it was told to end."""
    return "deletionTimestamp" in pod["metadata"]
