"""Why the pods of a Helm release are not ready, in words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError

LOG_LINES = 8

HOPELESS_AFTER = 2
"""Starts after which a service that refuses is believed."""

REFUSAL = re.compile(r"^tonnage: (.+)$", re.MULTILINE)
"""The line with which a service of ours ends that cannot serve."""

REVISION = "deployment.kubernetes.io/revision"

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that keeps a workload from being ready.

    Args:
        where: the pod, or the Deployment that cannot make one.
        reason: Kubernetes' own word, such as `ImagePullBackOff` or `OOMKilled`.
        says: what is known beyond the word.
        container: the container whose last lines would tell more; empty when none has run.
    """

    where: str
    reason: str
    says: str = ""
    container: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}{': ' if self.says else ''}{self.says}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a cluster has of one Helm release, as Kubernetes' objects.

    Args:
        workloads: Deployments and StatefulSets.
        replica_sets: of the Deployments, those of earlier revisions among them.
        pods: of all of them.
    """

    workloads: Sequence[Object] = ()
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A service that will not start with what it is given, however often it is tried.

    Args:
        pod: its name.
        says: its own sentence.
    """

    pod: str
    says: str


def troubles(workloads: Sequence[Object], pods: Sequence[Object]) -> list[Trouble]:
    """Everything that stands in the way, worst first. Pure.

    Args:
        workloads: Deployments and StatefulSets.
        pods: their pods.
    """
    found = [trouble for workload in workloads for trouble in _of_workload(workload)]
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp"):
            found += _of_pod(pod)
    # A pod that is merely not ready yet is often the consequence of one that cannot run.
    return sorted(found, key=lambda trouble: trouble.reason == "NotReady")


def _of_workload(workload: Object) -> Iterator[Trouble]:
    for condition in workload.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield Trouble(
                where=f"{workload['kind'].lower()}/{workload['metadata']['name']}",
                reason=condition.get("reason", "ReplicaFailure"),
                says=condition.get("message", ""),
            )


def _of_pod(pod: Object) -> Iterator[Trouble]:
    name = f"pod/{pod['metadata']['name']}"
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            says = condition.get("message", "")
            yield Trouble(where=name, reason=condition.get("reason", "Unschedulable"), says=says)
    limits = {
        container["name"]: container.get("resources", {}).get("limits", {}).get("memory", "")
        for container in pod["spec"]["containers"]
    }
    for container in status.get("containerStatuses", []):
        if not container.get("ready"):
            yield _of_container(name, container, limits.get(container["name"], ""))


def _of_container(pod: str, container: Object, limit: str) -> Trouble:
    state, last = container.get("state", {}), container.get("lastState", {})
    ended = state.get("terminated") or last.get("terminated") or {}
    waiting = state.get("waiting") or {}
    name = container["name"]
    if ended.get("reason") == "OOMKilled":
        says = f"it needs more memory than its limit of {limit}" if limit else "the node ran out of memory"
        return Trouble(where=pod, reason="OOMKilled", says=says, container=name)
    if ended:
        says = f"exit code {ended.get('exitCode')}, {container.get('restartCount', 0)} restarts"
        if sentence := _sentence(ended):
            says = f"{says}: {sentence}"
        return Trouble(where=pod, reason=waiting.get("reason") or "Error", says=says, container=name)
    if waiting:
        return Trouble(where=pod, reason=waiting.get("reason", "Waiting"), says=waiting.get("message", ""))
    return Trouble(
        where=pod, reason="NotReady", says="it runs, but its readiness probe fails", container=name
    )


def _sentence(ended: Object) -> str:
    """What a container said that refused to start; nothing of one that ended otherwise."""
    found = REFUSAL.findall(ended.get("message", ""))
    return found[-1].strip() if found else ""


def refusal(seen: Seen, before: Mapping[str, int]) -> Refusal | None:
    """Why a pod of what is being rolled out will never start, in its own words; None while it may. Pure.

    Pods of earlier revisions do not count: what is rolled out may be what mends them.

    Args:
        seen: what the cluster has now.
        before: `starts` of what it had when the roll began.
    """
    rolled_out = _rolled_out(seen)
    for pod in seen.pods:
        owners = {owner["name"] for owner in pod["metadata"].get("ownerReferences", [])}
        if pod["metadata"].get("deletionTimestamp") or owners.isdisjoint(rolled_out):
            continue
        for container in pod.get("status", {}).get("containerStatuses", []):
            count = _starts(container)
            if count < HOPELESS_AFTER or count <= before.get(_place(pod, container), 0):
                continue
            # `state` is the present run's or, between two, that it waits; the run before is what has words.
            ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get(
                "terminated"
            )
            if sentence := _sentence(ended or {}):
                return Refusal(pod=pod["metadata"]["name"], says=sentence)
    return None


def starts(seen: Seen) -> dict[str, int]:
    """How often each container was started and ended so far. Pure."""
    return {
        _place(pod, container): _starts(container)
        for pod in seen.pods
        for container in pod.get("status", {}).get("containerStatuses", [])
    }


def _starts(container: Object) -> int:
    """How often a container was started and ended. Kubernetes counts the last one when it starts the next."""
    state, last = container.get("state", {}), container.get("lastState", {})
    over = "terminated" in state or ("waiting" in state and "terminated" in last)
    return int(container.get("restartCount", 0)) + over


def _place(pod: Object, container: Object) -> str:
    return f"{pod['metadata']['name']}/{container['name']}"


def _rolled_out(seen: Seen) -> set[str]:
    """Names of the ReplicaSets that the Deployments' present templates have."""
    revisions = {
        each["metadata"]["name"]: each["metadata"].get("annotations", {}).get(REVISION)
        for each in seen.workloads
        # Until its controller has looked at a new template, a Deployment still names the revision before.
        if each["metadata"].get("generation") == each.get("status", {}).get("observedGeneration")
    }
    return {
        each["metadata"]["name"]
        for each in seen.replica_sets
        for owner in each["metadata"].get("ownerReferences", [])
        if owner["name"] in revisions
        and revisions[owner["name"]] == each["metadata"].get("annotations", {}).get(REVISION)
    }


def observed(access: ClusterAccess, *, name: str, namespace: str) -> Seen:
    """What the cluster has of a Helm release.

    Raises:
        ClusterError: the cluster does not answer.
    """
    selector = ("--namespace", namespace, "--selector", f"app.kubernetes.io/instance={name}")
    found: Any = access.get("deployments,statefulsets,replicasets,pods", *selector)["items"]
    return Seen(
        workloads=[each for each in found if each["kind"] in {"Deployment", "StatefulSet"}],
        replica_sets=[each for each in found if each["kind"] == "ReplicaSet"],
        pods=[each for each in found if each["kind"] == "Pod"],
    )


def explain(access: ClusterAccess, *, name: str, namespace: str) -> str:
    """What keeps a Helm release from being ready, one trouble a line, each with its container's last lines.

    Empty when nothing can be found out, for example because the cluster does not answer.
    """
    try:
        seen = observed(access, name=name, namespace=namespace)
    except ClusterError:
        return ""
    lines: list[str] = []
    for trouble in troubles(seen.workloads, seen.pods):
        lines.append(str(trouble))
        if trouble.container:
            lines += [f"    {line}" for line in _last_lines(access, trouble, namespace)]
    return "\n".join(lines)


def _last_lines(access: ClusterAccess, trouble: Trouble, namespace: str) -> list[str]:
    """The end of the log of the run that failed, or of the present one when there was none before."""
    logs = ("logs", trouble.where, "--namespace", namespace, "--container", trouble.container)
    for which in (("--previous",), ()):
        try:
            return access.run_kubectl(*logs, *which, f"--tail={LOG_LINES}").splitlines()
        except ClusterError:
            continue
    return []
