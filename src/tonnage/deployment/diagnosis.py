"""Why the pods of a Helm release are not ready, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError

LOG_LINES = 8

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
        return Trouble(where=pod, reason=waiting.get("reason") or "Error", says=says, container=name)
    if waiting:
        return Trouble(where=pod, reason=waiting.get("reason", "Waiting"), says=waiting.get("message", ""))
    return Trouble(
        where=pod, reason="NotReady", says="it runs, but its readiness probe fails", container=name
    )


def observed(access: ClusterAccess, *, name: str, namespace: str) -> tuple[list[Object], list[Object]]:
    """The workloads of a Helm release, and their pods.

    Raises:
        ClusterError: the cluster does not answer.
    """
    selector = ("--namespace", namespace, "--selector", f"app.kubernetes.io/instance={name}")
    found: Any = access.get("deployments,statefulsets,pods", *selector)["items"]
    pods = [each for each in found if each["kind"] == "Pod"]
    return [each for each in found if each["kind"] != "Pod"], pods


def explain(access: ClusterAccess, *, name: str, namespace: str) -> str:
    """What keeps a Helm release from being ready, one trouble a line, each with its container's last lines.

    Empty when nothing can be found out, for example because the cluster does not answer.
    """
    try:
        workloads, pods = observed(access, name=name, namespace=namespace)
    except ClusterError:
        return ""
    lines: list[str] = []
    for trouble in troubles(workloads, pods):
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
