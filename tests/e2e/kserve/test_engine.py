"""A whole shop whose retriever and ranker are InferenceServices."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Packaged
from tests.e2e.recommender.traffic import Shop, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import own_chart
from tonnage.deployment.helm import install, make_namespace, uninstall
from tonnage.telemetry import Spoken

NAME = "tonnage-engine"
HOST = f"{NAME}.example"

Upgrade = Callable[[Path], None]


@pytest.fixture(scope="module")
def upgrade(with_kserve: ClusterAccess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """Install a release, or upgrade to it; the shop goes at the end."""
    # Small requests, so that a roll fits a node of which somebody else has a share.
    small = {"autoscaling": {"maxReplicas": 2}, "resources": {"requests": {"cpu": "2m"}}}
    own: dict[str, object] = {"engine": "kserve", "gateway": {"hostnames": [HOST]}, "deadlineMs": 3000}
    own |= {"retriever": small, "ranker": small, "recommender": small}
    values = tmp_path_factory.mktemp("engine") / "own.yaml"
    values.write_text(yaml.safe_dump(own), encoding="utf-8")

    def run(release: Path) -> None:
        install(
            with_kserve,
            name=NAME,
            namespace=NAME,
            chart=own_chart(),
            values=[release, values],
            timeout_s=200,
            progress=Spoken(),
        )

    make_namespace(with_kserve, NAME)
    try:
        yield run
    finally:
        uninstall(with_kserve, name=NAME, namespace=NAME)
        with_kserve.run_kubectl("delete", "namespace", NAME, "--wait", timeout_s=180)


def test_slates_come_from_inference_services_and_never_from_two_releases(
    with_kserve: ClusterAccess, two_releases: tuple[Packaged, Packaged], upgrade: Upgrade
):
    """In the middle of a roll too, which KServe does in its own way."""
    first, second = two_releases
    shop = Shop(gateway=str(with_kserve.gateway_url), host=HOST)
    upgrade(first.values)
    assert inference_services(with_kserve) == {
        f"{NAME}-stable-{bento}": first.release for bento in ("retriever", "ranker")
    }
    eventually(lambda: shop.slate(None).status == 200)
    with steady(shop, [f"user-{number}" for number in range(20)]) as traffic:
        eventually(lambda: traffic.releases == {first.release})
        upgrade(second.values)
        eventually(lambda: shop.slate(None).body["release"] == second.release)
        eventually(lambda: traffic.releases == {first.release, second.release})
    assert traffic.failures == []
    assert traffic.fallbacks == []


def test_an_autoscaler_of_ours_owns_the_pods_that_kserve_makes(with_kserve: ClusterAccess, upgrade: Upgrade):
    """KServe would put back what it does not leave to somebody else."""
    name = f"{NAME}-stable-ranker"
    hpa = ("patch", "horizontalpodautoscaler", name, "--namespace", NAME, "--type=merge")
    with_kserve.run_kubectl(*hpa, "--patch", '{"spec": {"minReplicas": 2}}')

    def ready() -> int:
        found: Any = with_kserve.get("deployment", f"{name}-predictor", "--namespace", NAME)
        return int(found["status"].get("readyReplicas", 0))

    eventually(lambda: ready() == 2)


def inference_services(cluster: ClusterAccess) -> dict[str, str]:
    """Release of each InferenceService of the shop."""
    found: Any = cluster.get("inferenceservices", "--namespace", NAME)
    return {
        each["metadata"]["name"]: each["metadata"]["labels"]["tonnage.dev/release"] for each in found["items"]
    }
