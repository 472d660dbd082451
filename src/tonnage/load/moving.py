"""Give the retriever of a deployed shop another memory limit or another index, and give it back what it had.

A limit is changed in place: the kubelet writes it into the cgroup of the running pod (Kubernetes 1.33 and
later; https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/). An index is
chosen when a process starts, so another one is an upgrade of the Helm release, which says what it did.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.canary.tracks import STABLE
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.diagnosis import explain
from tonnage.deployment.revisions import Revision, revalue, revision
from tonnage.errors import ClusterError, ConfigError, NotFoundError, RequirementError
from tonnage.load.line import Place
from tonnage.load.resizing import (
    BENTO,
    Object,
    Values,
    component,
    leaves,
    limit_in_force,
    resize_patch,
    resizing,
    values_at,
)

LOOK_S = 1.0
RESIZED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Where a pod runs.

    Attributes:
        processor: what Kubernetes knows of it.
        cores: that it has.
        memory_bytes: that it has.
    """

    processor: str
    cores: int
    memory_bytes: int


class Moving:
    """The retriever of one Helm release, whose limits are changed.

    Args:
        access: the cluster.
        config: which Helm release, and the chart.
        restart: change limits by new pods too, not in place.
    """

    def __init__(self, access: ClusterAccess, config: DeploymentConfig, *, restart: bool = False) -> None:
        self._access, self._config, self._restart = access, config, restart
        self._before: Revision | None = None
        self._at: Place | None = None
        self._touched = False

    def settings(self) -> Revision:
        """The Helm release as it is, once it is clear that it may be changed.

        Raises:
            NotFoundError: there is no such Helm release, or nothing of it is called stable.
            ConfigError: a canary runs.
            RequirementError: this user may not change limits.
            ClusterError: the cluster does not answer.
        """
        found = revision(self._access, **self._where)
        tracks = found.values.get("tracks") or {}
        if STABLE not in tracks:
            raise NotFoundError("the Helm release has no track stable", **self._where)
        if others := sorted(set(tracks) - {STABLE}):
            raise ConfigError(
                f"the track {others[0]} takes a share of the load",
                hint="Promote it or abort it first: `tonnage canary status`.",
                **self._where,
            )
        self._require_allowed()
        self._before = found
        return found

    @property
    def release(self) -> str:
        """Id of the release that is served, by the settings that were read."""
        assert self._before is not None  # noqa: S101 - `settings` comes first
        return str(self._before.values["tracks"][STABLE]["release"])

    def move(self, place: Place) -> None:
        """Let the one retriever have a limit and an index, and wait until it serves.

        Raises:
            ClusterError: the cluster refuses, or the pod does not get ready.
        """
        assert self._before is not None  # noqa: S101 - `settings` comes first
        self._touched = True
        if self._restart or self._at is None or self._at.precision != place.precision:
            self._upgrade(values_at(self._before.values, place, self._pods()), f"at {_named(place)}")
        else:
            self._resize(self.pod(), place.memory_limit_bytes)
        self._at = place

    def put_back(self, settings: Revision) -> None:
        """Give it back the values that it had, and its pods the limits that they say.

        Raises:
            ClusterError: the cluster refuses, or pods do not get ready.
        """
        if not self._touched:
            return
        self._at = None
        self._upgrade(settings.values, "the values before a load line")
        [template] = self._listed("deployments", f",app.kubernetes.io/component={BENTO}")
        [container] = template["spec"]["template"]["spec"]["containers"]
        if limit := container["resources"].get("limits", {}).get("memory"):
            # A pod that outlived the upgrade has its limit still; the autoscaler may have brought others.
            requested = container["resources"].get("requests", {})
            for pod in self._serving():
                self._resize(pod, int(parse_quantity(limit)), requested=requested)
        self._touched = False

    def pod(self) -> Object:
        """The one pod of the retriever that serves.

        Raises:
            ClusterError: there is none, or more than one.
        """
        [serving, *others] = self._serving()
        if others:
            says = f"{len(others) + 1} retrievers serve, where one is measured"
            raise ClusterError(says, hint="Who scales them?", **self._where)
        return serving

    def node(self) -> Node:
        """The node of a retriever.

        Raises:
            ClusterError: there is none, or it may not be read.
        """
        found: Any = self._access.get("node", self._serving()[0]["spec"]["nodeName"])["status"]
        return Node(
            processor=found["nodeInfo"]["architecture"],
            cores=int(parse_quantity(found["capacity"]["cpu"])),
            memory_bytes=int(parse_quantity(found["capacity"]["memory"])),
        )

    def cores(self) -> float:
        """That a retriever may use: its limit, or its node's."""
        [container] = self._serving()[0]["spec"]["containers"]
        limit = container.get("resources", {}).get("limits", {}).get("cpu")
        return float(parse_quantity(limit)) if limit else float(self.node().cores)

    @property
    def _where(self) -> dict[str, str]:
        return {"name": self._config.name, "namespace": self._config.namespace}

    def _require_allowed(self) -> None:
        asked = (
            "auth",
            "can-i",
            "patch",
            "pods",
            "--subresource=resize",
            "--namespace",
            self._config.namespace,
        )
        if self._restart:
            return
        try:
            self._access.run_kubectl(*asked)
        except ClusterError as error:
            raise RequirementError(
                "this user may not change the limits of running pods",
                hint="Ask for the right to patch pods/resize, or let every limit start new pods: --restart.",
                **self._where,
            ) from error

    def _upgrade(self, values: Values, why: str) -> None:
        revalue(
            self._access,
            revision(self._access, **self._where),
            name=self._config.name,
            namespace=self._config.namespace,
            chart=self._config.chart or own_chart(),
            values=values,
            description=f"tonnage load line: {why}",
        )
        self._await_rollouts()

    def _await_rollouts(self) -> None:
        within = self._config.timeout_s
        command = ("rollout", "status", "deployment", "--selector", self._stable, f"--timeout={within:.0f}s")
        try:
            self._kubectl(*command, timeout_s=within + 30)
        except ClusterError as error:
            raise ClusterError(f"{error.problem}\n{explain(self._access, **self._where)}") from error
        until = time.monotonic() + within
        # Who is told to leave serves on for a while, and would take a part of the load.
        while any(leaves(each) for each in self._listed()) and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _resize(self, pod: Object, limit: int, *, requested: Mapping[str, str] | None = None) -> None:
        name, patch = pod["metadata"]["name"], resize_patch(pod, limit, requested=requested)
        if patch is None:
            return
        try:
            self._kubectl("patch", "pod", name, "--subresource=resize", "--patch", json.dumps(patch))
        except ClusterError as error:
            raise ClusterError(
                f"the memory limit of pod {name} could not be changed in place: {error.problem}",
                hint="Where the cluster cannot do that, let every limit start new pods: --restart.",
            ) from error
        until = time.monotonic() + RESIZED_WITHIN_S
        while limit_in_force(pod := self._get_pod(name)) != limit:
            if time.monotonic() > until:
                raise ClusterError(
                    f"the kubelet did not give pod {name} its limit of {limit} bytes: {resizing(pod)}",
                    hint="Let every limit start new pods: --restart.",
                )
            time.sleep(LOOK_S)

    def _serving(self) -> list[Object]:
        serving = [each for each in self._pods() if component(each) == BENTO]
        if not serving:
            raise ClusterError("no retriever runs", **self._where)
        return serving

    def _pods(self) -> list[Object]:
        return [each for each in self._listed() if not leaves(each)]

    def _listed(self, kind: str = "pods", selector: str = "") -> list[Object]:
        chosen = ("--namespace", self._config.namespace, "--selector", f"{self._stable}{selector}")
        found: Any = self._access.get(kind, *chosen)
        return list(found["items"])

    def _get_pod(self, name: str) -> Object:
        return self._access.get("pod", name, "--namespace", self._config.namespace)

    def _kubectl(self, *arguments: str, timeout_s: float = 60) -> str:
        return self._access.run_kubectl(
            *arguments, "--namespace", self._config.namespace, timeout_s=timeout_s
        )

    @property
    def _stable(self) -> str:
        return f"app.kubernetes.io/instance={self._config.name},tonnage.dev/track={STABLE}"


def _named(place: Place) -> str:
    return f"{place.memory_limit_bytes} bytes with {place.precision}"
