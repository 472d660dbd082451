"""A release on a real Kubernetes: installed, asked, tested, replaced, put back, taken away."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import Kubectl
from tests.e2e.packaged import Packaged, Voyage
from tests.e2e.recommender.traffic import Shop, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.deploying import Deployed
from tonnage.deployment.helm import install, uninstall
from tonnage.errors import ClusterError
from tonnage.telemetry import Spoken

pytestmark = pytest.mark.usefixtures("deployed")

KINDS = (
    "all,configmap,secret,serviceaccount,networkpolicy,poddisruptionbudget,httproute,backendtrafficpolicy,pvc"
)


@pytest.fixture
def run_release(cluster: ClusterAccess, config: DeploymentConfig) -> Callable[..., None]:
    def upgrade(packaged: Packaged, *more: Path, timeout_s: float = 300) -> None:
        install(
            cluster,
            name=config.name,
            namespace=config.namespace,
            chart=own_chart(),
            values=[packaged.values, *config.values, *more],
            timeout_s=timeout_s,
            progress=Spoken(),
        )

    return upgrade


@pytest.fixture
def first_runs(voyage: Voyage, shop: Shop, run_release: Callable[..., None]) -> None:
    """Whatever a test before left, the first release answers."""
    if shop.ask("/v1/release").body.get("id") != voyage.first.release:
        run_release(voyage.first)


def everything_of(config: DeploymentConfig, *more: str) -> str:
    return ",".join((f"app.kubernetes.io/instance={config.name}", *more))


def test_every_deployment_is_rolled_out(config: DeploymentConfig, kubectl: Kubectl):
    said = kubectl("rollout", "status", "deployment", "--selector", everything_of(config), "--timeout=180s")
    assert said.count("successfully rolled out") == 3


def test_every_image_is_pinned_by_its_digest(cluster: ClusterAccess, config: DeploymentConfig):
    listed: Any = cluster.get(
        "deployments", "--namespace", config.namespace, "--selector", everything_of(config)
    )
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in listed["items"]]
    assert len(images) == 3
    assert all("@sha256:" in image for image in images), images


def test_the_namespace_enforces_pod_security_restricted(cluster: ClusterAccess, config: DeploymentConfig):
    namespace: Any = cluster.get("namespace", config.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_known_user_gets_an_own_slate(shop: Shop, voyage: Voyage, deployed: Deployed):
    assert deployed.users is not None
    assert deployed.users > 0
    known, cold = shop.slate(voyage.users[0]), shop.slate("somebody-never-seen")
    assert (known.status, known.body.get("fallback")) == (200, None)
    assert known.body["release"] == voyage.first.release
    assert len(set(known.items)) == 10
    assert known.items != cold.items, "a history that changes nothing was not read"


def test_a_cold_user_gets_a_slate_and_no_error(shop: Shop):
    for user in ("somebody-never-seen", None):
        answer = shop.slate(user)
        assert (answer.status, answer.body.get("fallback")) == (200, None)
        assert len(set(answer.items)) == 10


def test_a_new_users_first_clicks_change_the_next_slate(shop: Shop, voyage: Voyage):
    user = "somebody-who-just-came"
    before = shop.slate(user)
    event = {"event_id": f"{user}-1", "user_id": user, "item_id": voyage.item}
    told = shop.ask("/v1/events", {"events": [event]}, user=user)
    again = shop.ask("/v1/events", {"events": [event]}, user=user)
    assert (told.status, told.body["new"], again.body["new"]) == (200, 1, 0)
    after = shop.slate(user)
    assert (after.status, after.body.get("fallback")) == (200, None)
    assert after.items != before.items


def test_metrics_and_probes_stay_inside(shop: Shop):
    assert [shop.ask(path).status for path in ("/metrics", "/readyz", "/livez")] == [404, 404, 404]


def test_helm_test_holds_and_leaves_no_pod(
    cluster: ClusterAccess, config: DeploymentConfig, kubectl: Kubectl
):
    said = cluster.run_helm("test", config.name, "--namespace", config.namespace, timeout_s=300)
    assert said.count("Succeeded") == 7
    assert kubectl("get", "pods", "--selector", "app.kubernetes.io/component=check", "--output", "name") == ""


@pytest.mark.usefixtures("first_runs")
def test_a_second_release_and_an_undo_fail_no_request_and_mix_no_slate(
    shop: Shop,
    voyage: Voyage,
    config: DeploymentConfig,
    kubectl: Kubectl,
    run_release: Callable[..., None],
):
    """The slates of the first release come back as they were, item by item."""
    both = {voyage.first.release, voyage.second.release}
    track = everything_of(config, "tonnage.dev/track=stable")
    before = [shop.slate(user).items for user in voyage.users]
    with steady(shop, voyage.users) as traffic:
        run_release(voyage.second)
        assert shop.ask("/v1/release").body["id"] == voyage.second.release
        history = kubectl("rollout", "history", f"deployment/{config.name}-stable-ranker")
        assert f"release {voyage.second.release}" in history
        kubectl("rollout", "undo", "deployment", "--selector", track)
        kubectl("rollout", "status", "deployment", "--selector", track, "--timeout=180s")
    assert traffic.failures == []
    assert traffic.fallbacks == []
    assert traffic.releases == both
    assert shop.ask("/v1/release").body["id"] == voyage.first.release
    assert [shop.slate(user).items for user in voyage.users] == before


@pytest.mark.usefixtures("first_runs")
def test_a_release_whose_image_is_not_there_is_named_and_the_old_one_goes_on(
    shop: Shop, voyage: Voyage, run_release: Callable[..., None], tmp_path: Path
):
    absent = tmp_path / "absent.yaml"
    image = {"digest": "sha256:" + "0" * 64}
    stable = {"release": "r-20000101-00000000", "images": {"ranker": image}}
    absent.write_text(yaml.safe_dump({"tracks": {"stable": stable}}), encoding="utf-8")
    with (
        steady(shop, voyage.users) as traffic,
        pytest.raises(ClusterError, match=r"ranker-.*: (ErrImagePull|ImagePullBackOff)"),
    ):
        run_release(voyage.second, absent, timeout_s=45)
    assert traffic.failures == []
    assert traffic.fallbacks == []
    assert traffic.releases == {voyage.first.release}
    run_release(voyage.first)


def test_a_canary_gets_a_share_of_the_users_and_keeps_them(
    shop: Shop, voyage: Voyage, run_release: Callable[..., None], tmp_path: Path
):
    """A user who changes tracks from one page to the next sees two shops, and spoils the comparison."""
    canary = yaml.safe_load(voyage.second.values.read_text(encoding="utf-8"))["tracks"]["stable"]
    tracks = {"stable": {"weight": 50}, "canary": {**canary, "weight": 50}}
    both = tmp_path / "canary.yaml"
    both.write_text(yaml.safe_dump({"tracks": tracks}), encoding="utf-8")
    run_release(voyage.first, both)
    visits = [[shop.slate(f"visitor-{number}", k=1) for _ in range(2)] for number in range(60)]
    releases = {"stable": voyage.first.release, "canary": voyage.second.release}
    assert all(one.body["release"] == releases[one.track] for visit in visits for one in visit)
    assert [visit for visit in visits if visit[0].track != visit[1].track] == []
    assert 15 <= sum(visit[0].track == "canary" for visit in visits) <= 45


def test_helm_uninstall_leaves_nothing(cluster: ClusterAccess, config: DeploymentConfig, kubectl: Kubectl):
    uninstall(cluster, name=config.name, namespace=config.namespace)
    left = kubectl("get", KINDS, "--output", "name").split()
    assert sorted(left) == ["configmap/kube-root-ca.crt", "serviceaccount/default"]
