"""KServe on the tier's cluster, and two small releases as InferenceServices, made as the README says."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.e2e.packaged import Packaged
from tests.factories.release import release

from tonnage.cli.project import Project
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded import kserve
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import make_namespace
from tonnage.releases.release import Release
from tonnage.telemetry import Spoken

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "tonnage-kserve"
"""Of the InferenceServices; it enforces what Pod Security calls restricted."""

GRAPHS = "tonnage-kserve-graphs"
WIDTH = 16
"""Of a user's vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What was made, and how it is reached.

    Args:
        cluster: where it runs.
        stable: id of the release of `retriever` and `ranker`.
        canary: id of the release of `retriever-canary`.
    """

    cluster: ClusterAccess
    stable: str
    canary: str

    def address(self, service: str, namespace: str = NAMESPACE) -> str:
        """Of a Service."""
        found: Any = self.cluster.get("service", service, "--namespace", namespace)
        return str(found["spec"]["clusterIP"])

    def host(self, name: str) -> str:
        """The host name in an InferenceService's URL."""
        found: Any = self.cluster.get("inferenceservice", name, "--namespace", NAMESPACE)
        return str(urlsplit(found["status"]["url"]).hostname)


@pytest.fixture(scope="session")
def with_kserve(cluster: ClusterAccess, cluster_config: EmbeddedConfig) -> Iterator[ClusterAccess]:
    """The cluster with KServe; taken out at the end, if it was put in here."""
    lent = kserve.manifests(cluster_config).exists()
    yield embedded.up(cluster_config, progress=Spoken(), extras=[embedded.Extra.KSERVE])
    # The README's `make down` may have taken the cluster away.
    if not lent and embedded.status(cluster_config).running:
        remove(cluster, kserve.manifests(cluster_config))


def remove(cluster: ClusterAccess, manifests: Path) -> None:
    """Take KServe out: what it made, its webhooks before the controller that answers them, its kinds."""
    kinds = "inferenceservices,inferencegraphs,clusterservingruntimes"
    cluster.run_kubectl("delete", kinds, "--all", "--all-namespaces", timeout_s=120)
    for name in ("webhooks", "controller", "definitions"):
        cluster.run_kubectl("delete", "--filename", str(manifests / f"{name}.yaml"), timeout_s=120)
    for file in manifests.iterdir():
        file.unlink()
    manifests.rmdir()


@pytest.fixture(scope="session")
def two_releases(
    packaged: Callable[[Release, Project], Packaged], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Packaged, Packaged]:
    """Nobody trained them: what matters is that KServe runs them and answers are their own."""
    root = tmp_path_factory.mktemp("fleet")
    (root / "tonnage.toml").touch()
    project = Project.open(root / "tonnage.toml")
    first, second = (packaged(release(root / str(seed), seed=seed), project) for seed in (7, 8))
    return first, second


@pytest.fixture(scope="module")
def fleet(with_kserve: ClusterAccess, two_releases: tuple[Packaged, Packaged]) -> Iterator[Fleet]:
    """InferenceServices of both, and the graph."""
    first, second = two_releases
    stable, canary = (_images(each.values) for each in two_releases)
    make_namespace(with_kserve, NAMESPACE)
    with_kserve.run_kubectl("create", "namespace", GRAPHS)
    try:
        as_the_readme_says(
            with_kserve,
            RETRIEVER_IMAGE=stable["retriever"],
            RANKER_IMAGE=stable["ranker"],
            CANARY_IMAGE=canary["retriever"],
        )
        yield Fleet(cluster=with_kserve, stable=first.release, canary=second.release)
    finally:
        with_kserve.run_kubectl("delete", "namespace", NAMESPACE, GRAPHS, "--wait", timeout_s=180)


def as_the_readme_says(cluster: ClusterAccess, **images: str) -> None:
    """Run every command of the README, with kubectl on the PATH."""
    text = (ROOT / "manifests" / "kserve" / "README.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    own = {
        "PATH": f"{Path(cluster.kubectl).parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={**os.environ, **cluster.environment, **own, "NAMESPACE": NAMESPACE, "GRAPHS": GRAPHS, **images},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _images(values: Path) -> dict[str, str]:
    images = yaml.safe_load(values.read_text(encoding="utf-8"))["tracks"]["stable"]["images"]
    return {bento: f"{image['repository']}@{image['digest']}" for bento, image in images.items()}
