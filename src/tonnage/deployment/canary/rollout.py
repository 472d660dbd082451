"""Look at a Helm release and its pods, and take the planned steps until an aim is reached."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.canary.lease import Lease
from tonnage.deployment.canary.plan import (
    Aim,
    Done,
    PodSet,
    Refused,
    Seen,
    Wait,
    Write,
    next_step,
)
from tonnage.deployment.canary.tracks import CANARY, STABLE, Tracks
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.diagnosis import explain, troubles
from tonnage.deployment.helm import PASSING, await_turn
from tonnage.deployment.revisions import Revision, revalue, revision
from tonnage.errors import ClusterError, NotFoundError
from tonnage.telemetry import Progress

LOOK_S = 1.0
WRITE_S = 60.0
"""Seconds within which an upgrade that waits for no pod has ended, well or not."""

MAY_PASS = {*PASSING, "Waiting", "Unschedulable", "ErrImagePull"}
"""What keeps a pod from being ready and may go away by itself."""

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""


class RefusedError(ClusterError):
    """A pod of the release that is brought up will not start."""


class LateError(ClusterError):
    """Something took longer than `[deployment] timeout_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at everything.

    Args:
        revision: the Helm release.
        objects: Deployments, autoscalers, pods, and the route.
        seen: what follows from them.
    """

    revision: Revision
    objects: Sequence[Object]
    seen: Seen

    @property
    def pods(self) -> list[Object]:
        """Every pod."""
        return _of_kind(self.objects, "Pod")


class Rollout:
    """One Helm release whose tracks are moved.

    Args:
        access: the cluster.
        config: which Helm release, and the chart.
        progress: who is told.
    """

    def __init__(self, access: ClusterAccess, config: DeploymentConfig, *, progress: Progress) -> None:
        self.access, self.config, self.progress = access, config, progress
        self.lease = Lease(access, name=config.name, namespace=config.namespace)

    @property
    def where(self) -> dict[str, str]:
        """Name and namespace."""
        return {"name": self.config.name, "namespace": self.config.namespace}

    def look(self) -> Look:
        """What the cluster has now.

        Raises:
            NotFoundError: there is no such Helm release, or it has no track `stable`.
            ClusterError: the cluster does not answer.
        """
        found = revision(self.access, **self.where)
        tracks = found.values.get("tracks") or {}
        if STABLE not in tracks:
            raise NotFoundError("the Helm release has no track stable", **self.where)
        kinds = "deployments,horizontalpodautoscalers,pods"
        # Clusters without the Gateway API do not know the kind.
        gateway = (found.values.get("gateway") or {}).get("enabled")
        kinds += ",httproutes.gateway.networking.k8s.io" if gateway else ""
        selector = ("--namespace", self.config.namespace, "--selector", self._mine)
        objects: Any = self.access.get(kinds, *selector)["items"]
        seen = seen_of(tracks, objects, applied=found.status == "deployed", busy=self._busy(found))
        self.lease.owner = next(_owners(objects), None)
        return Look(revision=found, objects=objects, seen=seen)

    def pursue(self, aim: Aim, *, seen: Look | None = None) -> str:
        """Take one step after the other until the aim is reached; what was reached, in words.

        Args:
            aim: where to get.
            seen: a look that was just taken.

        Raises:
            RefusedError: a pod of the release to bring up will not start; traffic is where it was.
            HeldError: another operator took the canary over.
            LateError: it took too long; traffic is where the last step left it.
            ClusterError: the cluster refused or does not answer; traffic likewise.
        """
        self.lease.remember(goal=aim.goal, weight=aim.weight)
        until, told = time.monotonic() + self.config.timeout_s, ""
        while True:
            look = seen or self.look()
            seen = None
            step = next_step(aim, look.seen)
            if isinstance(step, Done):
                return step.says
            if isinstance(step, Refused):
                raise RefusedError(step.says)
            if time.monotonic() > until:
                raise LateError(
                    f"{aim.goal} was not reached in {self.config.timeout_s:.0f} s: {step.says}\n"
                    f"{explain(self.access, **self.where)}",
                    hint="\nTraffic is where it was; the same command again goes on from there.",
                )
            if step.says != told:
                self.progress.say(step.says)
                told = step.says
            self._take(step, look)

    def _take(self, step: Write | Wait, look: Look) -> None:
        if isinstance(step, Write):
            self._write(step, look)
            return
        self.lease.keep()
        time.sleep(LOOK_S)

    def _write(self, step: Write, look: Look) -> None:
        # Renewed right before: who lost the Lease meanwhile must not write.
        moved = moves(look.seen.tracks, step.tracks, first=not self.lease.state.began)
        self.lease.renew(writing=look.revision.number + 1, **moved)
        revalue(
            self.access,
            look.revision,
            **self.where,
            chart=self.config.chart or own_chart(),
            values={**look.revision.values, "tracks": step.tracks},
            description=f"tonnage canary: {step.says}",
            timeout_s=WRITE_S,
        )
        for (track, bento), replicas in step.scale.items():
            labels = f"{self._mine},tonnage.dev/track={track},app.kubernetes.io/component={bento}"
            scale = ("scale", "deployment", "--selector", labels, f"--replicas={replicas}")
            self.access.run_kubectl(*scale, "--namespace", self.config.namespace)

    def _busy(self, found: Revision) -> str:
        """Which other Helm is at work; one of our own that died is forgotten."""
        if not found.status.startswith("pending"):
            return ""
        age = (datetime.now(UTC) - found.began).total_seconds()
        if found.number == self.lease.state.writing and age > WRITE_S:
            await_turn(self.access, **self.where, timeout_s=WRITE_S, progress=self.progress)
        return f"another Helm is at work on {self.config.name} since {found.began:%H:%M:%S}"

    @property
    def _mine(self) -> str:
        return f"app.kubernetes.io/instance={self.config.name}"


def moves(before: Tracks, after: Tracks, *, first: bool) -> dict[str, str]:
    """What to remember of a write that changes the canary's weight. Pure.

    Args:
        before: the tracks as they are.
        after: as they will be.
        first: whether the canary had no traffic yet.
    """
    weight = after.get(CANARY, {}).get("weight", 0)
    if weight == before.get(CANARY, {}).get("weight", 0):
        return {}
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"since": now, "began": now} if first and weight else {"since": now}


def seen_of(tracks: Tracks, objects: Sequence[Object], *, applied: bool, busy: str = "") -> Seen:
    """What the plan needs to know of the cluster's objects. Pure.

    Args:
        tracks: the tracks of the Helm release's values.
        objects: Deployments, autoscalers, pods and routes of the Helm release.
        applied: whether the last upgrade went through.
        busy: who else is at work on it.
    """
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in _of_kind(objects, "HorizontalPodAutoscaler")}
    pods = _of_kind(objects, "Pod")
    sets, refuses = {}, {}
    for each in _of_kind(objects, "Deployment"):
        sets[_label(each, "track"), each["metadata"]["labels"].get("app.kubernetes.io/component", "")] = (
            _set_of(each, autoscaled=each["metadata"]["name"] in scaled)
        )
    for name, track in tracks.items():
        own = [
            each
            for each in pods
            if _label(each, "track") == name and _label(each, "release") == track["release"]
        ]
        found = [str(each) for each in troubles([], own) if each.reason not in MAY_PASS]
        if found:
            refuses[name] = "; ".join(found)
    routed = all(_taken(each) for each in _of_kind(objects, "HTTPRoute"))
    return Seen(tracks=tracks, sets=sets, applied=applied, routed=routed, refuses=refuses, busy=busy)


def _set_of(deployment: Object, *, autoscaled: bool) -> PodSet:
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status", {})
    # What `kubectl rollout status` waits for.
    counts = [status.get(each, 0) for each in ("updatedReplicas", "replicas", "availableReplicas")]
    current = deployment["metadata"]["generation"] == status.get("observedGeneration")
    return PodSet(
        wanted=wanted,
        ready=status.get("readyReplicas", 0),
        rolled_out=current and all(count == wanted for count in counts),
        autoscaled=autoscaled,
        release=_label(deployment["spec"]["template"], "release"),
    )


def _taken(route: Object) -> bool:
    """Whether every Gateway of a route has accepted its latest generation."""
    conditions = [
        condition
        for parent in route.get("status", {}).get("parents", [])
        for condition in parent["conditions"]
        if condition["type"] == "Accepted"
    ]
    latest = route["metadata"]["generation"]
    return bool(conditions) and all(
        each["status"] == "True" and each["observedGeneration"] >= latest for each in conditions
    )


def _owners(objects: Sequence[Object]) -> Iterator[Object]:
    """With whom the Lease should go when the Helm release goes."""
    for each in _of_kind(objects, "Deployment"):
        if _label(each, "track") != STABLE:
            continue
        yield {
            "apiVersion": each["apiVersion"],
            "kind": each["kind"],
            "name": each["metadata"]["name"],
            "uid": each["metadata"]["uid"],
        }


def _label(of: Object, name: str) -> str:
    return str(of["metadata"].get("labels", {}).get(f"tonnage.dev/{name}", ""))


def _of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]
