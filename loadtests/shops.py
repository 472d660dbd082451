"""A release on the embedded cluster, behind its Gateway, for the length of a measurement."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import yaml

from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.deploying import deploy
from tonnage.deployment.embedded import cluster
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import uninstall
from tonnage.deployment.revisions import merged
from tonnage.errors import RequirementError, TonnageError
from tonnage.serving.memory.quantity import read_quantity
from tonnage.telemetry import Progress

BENTOS = ("retriever", "ranker", "recommender")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A deployed release.

    Attributes:
        access: the cluster.
        name: of the Helm release, and of its namespace.
        host: the name that the Gateway knows it by.
    """

    access: ClusterAccess
    name: str
    host: str

    @property
    def gateway(self) -> str:
        """URL of the Gateway.

        Raises:
            RequirementError: the cluster has none.
        """
        if self.access.gateway_url is None:
            raise RequirementError("the cluster has no Gateway")
        return self.access.gateway_url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the Gateway."""
        parts = urlsplit(self.gateway)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def ends(self) -> dict[str, str]:
        """How containers of its pods have ended so far: reason by `pod/container number`."""
        pods: Any = self.access.get("pods", "--namespace", self.name)["items"]
        containers = [
            (pod["metadata"]["name"], each)
            for pod in pods
            for each in pod["status"].get("containerStatuses", ())
            if "terminated" in each.get("lastState", {})
        ]
        return {
            f"{pod}/{each['name']} {each['restartCount']}": each["lastState"]["terminated"]["reason"]
            for pod, each in containers
        }


@contextmanager
def running_cluster(progress: Progress) -> Iterator[EmbeddedConfig]:
    """The user's embedded cluster; taken down at the end if it was not up before."""
    config = EmbeddedConfig.of(os.environ)
    was_up = cluster.status(config).running
    cluster.up(config, progress=progress)
    try:
        yield config
    finally:
        if not was_up:
            cluster.down(config, progress=progress)


@contextmanager
def deployed(
    config: EmbeddedConfig,
    root: Path,
    *,
    name: str,
    values: Mapping[str, Any],
    ready_made: bool,
    progress: Progress,
) -> Iterator[Shop]:
    """A project's release on the cluster until the block ends; trained and packaged if it is not yet.

    Args:
        config: of a cluster that runs.
        root: directory of the project.
        name: of the Helm release and its namespace.
        values: of the chart, over those that fit every measurement: one pod per bento, a host name.
        ready_made: take its latest release as it is; otherwise train one if anything has changed.
        progress: is told of each step.
    """
    project = Project.open(root / "tonnage.toml")
    # What `large` wrote has no data to train on again.
    release = stages.release_named(project, "latest") if ready_made else stages.release(project, progress)
    packaged = stages.package(project, release, stages.embedded_sink(config), progress)
    access = cluster.access(config)
    host = f"{name}.measure.test"
    given = merged(_alone(host), values)
    deployment = DeploymentConfig(name=name, namespace=name, timeout_s=600)
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "measure.values.yaml"
        file.write_text(yaml.safe_dump(given), encoding="utf-8")
        try:
            deploy(
                access,
                deployment,
                values=[packaged.values_path, file],
                features=project.features,
                progress=progress,
            )
            yield Shop(access=access, name=name, host=host)
        finally:
            removed(access, name, progress)


def pod_limit(bento: str) -> int:
    """Bytes that the chart gives a pod by default."""
    values = yaml.safe_load((own_chart() / "values.yaml").read_text(encoding="utf-8"))
    return read_quantity(values[bento]["resources"]["limits"]["memory"])


def _alone(host: str) -> dict[str, Any]:
    """One pod of each, so that what is measured does not change under way."""
    pods = {bento: {"autoscaling": {"enabled": False}} for bento in BENTOS}
    return {**pods, "gateway": {"hostnames": [host]}}


def removed(access: ClusterAccess, name: str, progress: Progress) -> None:
    """Take a shop and its namespace away; what cannot be taken away is told."""
    try:
        uninstall(access, name=name, namespace=name)
        access.run_kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s", timeout_s=150)
    except TonnageError as error:
        progress.say(f"{name} could not be removed: {error}")
