"""A whole shop whose retriever and ranker are InferenceServices."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.kserve.conftest import Fleet
from tests.e2e.recommender.traffic import Shop, steady

from tonnage.deployment.config import own_chart
from tonnage.deployment.helm import install, make_namespace, uninstall
from tonnage.telemetry import Spoken

NAME = "tonnage-engine"
HOST = f"{NAME}.example"

Upgrade = Callable[[Path], None]


@pytest.fixture(scope="module")
def upgrade(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """Install a release, or upgrade to it; the shop goes at the end."""
    # Small requests, so that a roll fits a node of which somebody else has a share.
    small = {"autoscaling": {"maxReplicas": 2}, "resources": {"requests": {"cpu": "2m"}}}
    own: dict[str, object] = {"engine": "kserve", "gateway": {"hostnames": [HOST]}, "deadlineMs": 3000}
    own |= {"retriever": small, "ranker": small, "recommender": small}
    values = tmp_path_factory.mktemp("engine") / "own.yaml"
    values.write_text(yaml.safe_dump(own), encoding="utf-8")

    def run(release: Path) -> None:
        install(
            fleet.cluster,
            name=NAME,
            namespace=NAME,
            chart=own_chart(),
            values=[release, values],
            timeout_s=200,
            progress=Spoken(),
        )

    make_namespace(fleet.cluster, NAME)
    try:
        yield run
    finally:
        uninstall(fleet.cluster, name=NAME, namespace=NAME)
        fleet.cluster.run_kubectl("delete", "namespace", NAME, "--wait", timeout_s=180)


def test_slates_come_from_inference_services_and_never_from_two_releases(fleet: Fleet, upgrade: Upgrade):
    """In the middle of a roll too, which KServe does in its own way."""
    shop = Shop(gateway=str(fleet.cluster.gateway_url), host=HOST)
    upgrade(fleet.values[0])
    assert inference_services(fleet) == {
        f"{NAME}-stable-{bento}": fleet.stable for bento in ("retriever", "ranker")
    }
    eventually(lambda: shop.slate(None).status == 200)
    with steady(shop, [f"user-{number}" for number in range(20)]) as traffic:
        eventually(lambda: traffic.releases == {fleet.stable})
        upgrade(fleet.values[1])
        eventually(lambda: shop.slate(None).body["release"] == fleet.canary)
        eventually(lambda: traffic.releases == {fleet.stable, fleet.canary})
    assert traffic.failures == []
    assert traffic.fallbacks == []


def test_an_autoscaler_of_ours_owns_the_pods_that_kserve_makes(fleet: Fleet, upgrade: Upgrade):
    """KServe would put back what it does not leave to somebody else."""
    name = f"{NAME}-stable-ranker"
    hpa = ("patch", "horizontalpodautoscaler", name, "--namespace", NAME, "--type=merge")
    fleet.cluster.run_kubectl(*hpa, "--patch", '{"spec": {"minReplicas": 2}}')

    def ready() -> int:
        found: Any = fleet.cluster.get("deployment", f"{name}-predictor", "--namespace", NAME)
        return int(found["status"].get("readyReplicas", 0))

    eventually(lambda: ready() == 2)


def inference_services(fleet: Fleet) -> dict[str, str]:
    """Release of each InferenceService of the shop."""
    found: Any = fleet.cluster.get("inferenceservices", "--namespace", NAME)
    return {
        each["metadata"]["name"]: each["metadata"]["labels"]["tonnage.dev/release"] for each in found["items"]
    }
