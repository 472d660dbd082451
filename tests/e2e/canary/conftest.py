"""A shop of its own for each file, which runs the first of two releases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.traffic import Shop

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.deploying import deploy
from tonnage.deployment.helm import install, uninstall
from tonnage.packaging.config import BENTOS
from tonnage.telemetry import Spoken

Share = Callable[..., None]


@pytest.fixture(scope="module")
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DeploymentConfig:
    """Named as the file says, at its own host name."""
    name: str = request.module.NAME
    values = tmp_path_factory.mktemp("values") / "own.yaml"
    # Two releases share two cores with the traffic: a missed deadline would say that, and nothing else.
    own: dict[str, object] = {"gateway": {"hostnames": [f"{name}.example"]}, "deadlineMs": 3000}
    # And small requests, so that a roll beside a canary fits a node of which somebody else has a share.
    small = {"autoscaling": {"maxReplicas": 1}, "resources": {"requests": {"cpu": "2m"}}}
    own |= {**dict.fromkeys(BENTOS, small), "redis": {"resources": {"requests": {"cpu": "2m"}}}}
    values.write_text(yaml.safe_dump(own), encoding="utf-8")
    return DeploymentConfig(name=name, namespace=name, values=(values,), timeout_s=300)


@pytest.fixture(scope="module")
def shop(cluster: ClusterAccess, voyage: Voyage, config: DeploymentConfig) -> Iterator[Shop]:
    """The installed shop, as its clients see it; taken away at the end."""
    assert cluster.gateway_url is not None
    try:
        deploy(cluster, config, values=[voyage.first.values], features=voyage.features, progress=Spoken())
        yield Shop(gateway=cluster.gateway_url, host=f"{config.name}.example")
    finally:
        uninstall(cluster, name=config.name, namespace=config.namespace)
        cluster.run_kubectl("delete", "namespace", config.namespace, "--wait", timeout_s=120)


@pytest.fixture
def share(
    cluster: ClusterAccess, config: DeploymentConfig, shop: Shop, voyage: Voyage, tmp_path: Path
) -> Share:
    """Upgrade to a canary of the same release, with these values of its track and of the chart."""
    assert shop
    same = yaml.safe_load(voyage.first.values.read_text(encoding="utf-8"))["tracks"]["stable"]

    def upgrade(weight: int, canary: dict[str, object] | None = None, **chart: object) -> None:
        file = tmp_path / "share.yaml"
        tracks = {"stable": {"weight": 100 - weight}, "canary": {**same, **(canary or {}), "weight": weight}}
        file.write_text(yaml.safe_dump({"tracks": tracks, **chart}), encoding="utf-8")
        install(
            cluster,
            name=config.name,
            namespace=config.namespace,
            chart=own_chart(),
            values=[voyage.first.values, *config.values, file],
            timeout_s=200,
            progress=Spoken(),
        )

    return upgrade
