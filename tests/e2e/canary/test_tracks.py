"""Who meets a canary: a share of the users, whoever names it, and a copy of the requests."""

from collections import Counter
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.canary.conftest import Share
from tests.e2e.conftest import Kubectl
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.traffic import Shop, hammering, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.errors import ClusterError

NAME = "by-track"
VISITORS = [f"visitor-{number}" for number in range(200)]
SLATES, SIMILAR, EVENTS = "/v1/recommendations", "/v1/similar-items", "/v1/events"


def whose(shop: Shop, visitors: list[str] = VISITORS) -> dict[str, str]:
    """The track of each visitor, as the one who answered says."""
    return {visitor: str(shop.slate(visitor, k=1).body["track"]) for visitor in visitors}


def settled(shop: Shop, *, unlike: dict[str, str]) -> dict[str, str]:
    """The track of each visitor once new weights have arrived, which two visits of everybody show."""
    first, second = whose(shop), whose(shop)
    assert first == second != unlike
    return first


def requests(cluster: ClusterAccess, kubectl: Kubectl, track: str) -> Counter[str]:
    """How many requests the recommender of a track has answered or refused, by route."""
    mine = f"tonnage.dev/track={track},app.kubernetes.io/component=recommender"
    pod = kubectl("get", "pods", "--selector", mine, "--output", "jsonpath={.items[0].metadata.name}")
    said = cluster.run_kubectl("get", "--raw", f"/api/v1/namespaces/{NAME}/pods/{pod}:3000/proxy/metrics")
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(said):
        for each in family.samples:
            if each.name == "tonnage_request_seconds_count":
                counted[each.labels["route"]] += int(each.value)
    return counted


def test_weights_keep_users_beside_the_header_that_names_a_track(shop: Shop, share: Share):
    """A rule for testers must not disturb the hash by which everybody else is kept."""
    share(10)
    few = eventually(lambda: settled(shop, unlike=dict.fromkeys(VISITORS, "stable")))
    share(30)
    more = eventually(lambda: settled(shop, unlike=few))
    assert [visitor for visitor in VISITORS if (few[visitor], more[visitor]) == ("canary", "stable")] == []
    assert 0.18 <= list(more.values()).count("canary") / len(VISITORS) <= 0.42
    for track in ("stable", "canary"):
        named = {
            shop.ask(SLATES, {"user_id": each, "k": 1}, user=each, track=track).track for each in VISITORS
        }
        assert named == {track}
    assert shop.ask("/v1/release", user=VISITORS[0], track="nobody").track == more[VISITORS[0]]


def test_a_share_that_begins_or_ends_fails_nobody(shop: Shop, share: Share):
    """Envoy learns of clusters and of routes one after the other; who asks in between would get a 500."""
    with hammering(shop) as statuses:
        for weight in (50, 0, 50, 0, 100, 0):
            share(weight)
    assert statuses[200] > 1000
    assert set(statuses) == {200}


def test_a_mirrored_track_gets_slates_asked_for_and_nothing_that_is_stored(
    cluster: ClusterAccess, shop: Shop, share: Share, kubectl: Kubectl, voyage: Voyage
):
    """An event that arrives twice, or an answer of the canary's at a user: either would be felt."""
    share(0, {"mirror": True})
    event = {"event_id": "by-track-1", "user_id": VISITORS[0], "item_id": voyage.item}

    def copied() -> int:
        assert shop.ask(SIMILAR, {"item_id": voyage.item, "k": 3}, user=VISITORS[0]).track == "stable"
        return requests(cluster, kubectl, "canary")[SIMILAR]

    eventually(copied)
    before = requests(cluster, kubectl, "canary")[SLATES]
    answers = [shop.slate(visitor) for visitor in VISITORS[:50]]
    told = shop.ask(EVENTS, {"events": [event]}, user=VISITORS[0])
    assert {(answer.status, answer.track, answer.body["track"]) for answer in answers} == {
        (200, "stable", "stable")
    }
    assert (told.status, told.body["new"]) == (200, 1)
    eventually(lambda: requests(cluster, kubectl, "canary")[SLATES] >= before + 50)
    after = requests(cluster, kubectl, "canary")
    assert (after[SLATES] - before, after[EVENTS]) == (50, 0)


def test_a_mirrored_track_that_dies_is_not_felt(shop: Shop, share: Share, kubectl: Kubectl, voyage: Voyage):
    share(0, {"mirror": True})
    with steady(shop, voyage.users) as traffic:
        kubectl("scale", f"deployment/{NAME}-canary-recommender", "--replicas=0")
        kubectl("wait", "pod", "--for=delete", "--selector", CANARY, "--timeout=60s")
        asked = len(traffic.answers)
        eventually(lambda: len(traffic.answers) >= asked + 20)
    assert traffic.failures == []
    assert {answer.track for answer in traffic.answers} == {"stable"}


CANARY = "tonnage.dev/track=canary,app.kubernetes.io/component=recommender"


def test_users_for_a_track_without_pods_are_refused_and_stay_where_they_are(
    cluster: ClusterAccess, config: DeploymentConfig, shop: Shop, share: Share
):
    parked = {"replicas": {"retriever": 0, "ranker": 0, "recommender": 0}}
    share(0, parked)
    with pytest.raises(ClusterError, match=r"tracks\.canary would get requests"):
        share(40, parked)
    route: Any = cluster.get("httproute", config.name, "--namespace", config.namespace)
    asked = {each["name"] for each in route["spec"]["rules"][0]["backendRefs"]}
    assert asked == {f"{config.name}-stable-recommender"}
    assert {shop.slate(visitor, k=1).track for visitor in VISITORS[:20]} == {"stable"}


def test_without_a_gateway_pods_share_the_requests_of_the_tracks_that_have_a_weight(
    cluster: ClusterAccess, config: DeploymentConfig, share: Share, kubectl: Kubectl
):
    def behind() -> set[str]:
        mine = ("--namespace", config.namespace, "--selector", f"kubernetes.io/service-name={config.name}")
        slices: Any = cluster.get("endpointslices", *mine)
        ready = [
            each for one in slices["items"] for each in one["endpoints"] or [] if each["conditions"]["ready"]
        ]
        return {each["targetRef"]["name"].rsplit("-", 2)[0] for each in ready}

    share(0, {"replicas": None}, gateway={"enabled": False})
    kubectl("rollout", "status", "deployment", "--selector", CANARY, "--timeout=120s")
    eventually(lambda: behind() == {f"{NAME}-stable-recommender"})
    share(10, gateway={"enabled": False})
    eventually(lambda: behind() == {f"{NAME}-{track}-recommender" for track in ("stable", "canary")})
