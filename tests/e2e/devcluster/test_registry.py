"""An image that comes from a registry, as on any other cluster."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.e2e.devcluster.waiting import eventually

from tonnage.deployment.access import ClusterAccess, run
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig

NAMESPACE = "devcluster-registry"


@dataclass(frozen=True)
class Registry:
    """A real registry on this machine.

    Args:
        host: `ADDRESS:PORT`, the same for this machine and for the cluster.
    """

    host: str

    def catalog(self) -> object:
        """What it holds."""
        with urllib.request.urlopen(f"http://{self.host}/v2/_catalog", timeout=5) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def registry(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Debian's docker-registry, on the address under which the cluster sees this machine."""
    folder = tmp_path_factory.mktemp("registry")
    found = Registry(f"{embedded.host_address(cluster_config)}:5111")
    settings = {
        "version": 0.1,
        "http": {"addr": found.host},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
    }
    (folder / "config.yml").write_text(yaml.safe_dump(settings))
    program = Path(cluster.kubectl).with_name("docker-registry")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            eventually(found.catalog)
            yield found
        finally:
            server.terminate()
            server.wait(10)


def test_the_cluster_pulls_from_a_registry_on_this_machine(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, registry: Registry
) -> None:
    image = f"{registry.host}/shop/pause:1"
    archive = max(cluster_config.cache.glob("image-pause-*/image.tar"), key=os.path.getmtime)
    run(
        ["skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{image}"],
        timeout_s=60,
    )
    embedded.allow_plain_http(cluster_config, registry.host)
    cluster.run_kubectl("create", "namespace", NAMESPACE)
    try:
        cluster.run_kubectl(
            "run", "pulled", f"--image={image}", "--image-pull-policy=Always", "-n", NAMESPACE
        )
        wait = ("wait", "--for=condition=Ready", "pod/pulled", "-n", NAMESPACE, "--timeout=60s")
        cluster.run_kubectl(*wait, timeout_s=70)
    finally:
        cluster.run_kubectl("delete", "namespace", NAMESPACE, timeout_s=120)
