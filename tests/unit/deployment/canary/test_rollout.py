"""What follows from Kubernetes' objects, and what is told of it."""

from typing import Any

import pytest
from tests.factories.tracks import NEW, OLD, track

from tonnage.deployment.canary.lease import Held, State
from tonnage.deployment.canary.plan import PodSet, Seen
from tonnage.deployment.canary.rollout import moves, seen_of
from tonnage.deployment.canary.status import Status
from tonnage.deployment.canary.tracks import CANARY, STABLE, park
from tonnage.packaging.config import BENTOS

TRACKS = {STABLE: track(OLD, weight=75), CANARY: track(NEW, weight=25)}


def labels(name: str, bento: str, release: str) -> dict[str, str]:
    own = {"tonnage.dev/track": name, "tonnage.dev/release": release}
    return {**own, "app.kubernetes.io/component": bento}


def deployment(name: str, bento: str, release: str, *, wanted: int = 2, **status: int) -> dict[str, Any]:
    whole = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), wanted)
    return {
        "kind": "Deployment",
        "metadata": {"name": f"shop-{name}-{bento}", "generation": 3, "labels": labels(name, bento, release)},
        "spec": {"replicas": wanted, "template": {"metadata": {"labels": labels(name, bento, release)}}},
        "status": {"observedGeneration": 3, **whole, **status},
    }


def pod(name: str, release: str, container: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": f"shop-{name}-ranker-1", "labels": labels(name, "ranker", release)},
        "spec": {"containers": [{"name": "ranker", "resources": {"limits": {"memory": "64Mi"}}}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "ranker", "ready": False, **container}],
        },
    }


def route(*, generation: int, observed: int, status: str = "True") -> dict[str, Any]:
    accepted = {"type": "Accepted", "status": status, "observedGeneration": observed}
    return {
        "kind": "HTTPRoute",
        "metadata": {"generation": generation},
        "status": {"parents": [{"conditions": [accepted]}]},
    }


SCALER = {"kind": "HorizontalPodAutoscaler", "spec": {"scaleTargetRef": {"name": "shop-stable-ranker"}}}


@pytest.mark.parametrize(
    ("status", "ready", "rolled_out"),
    [
        ({}, 2, True),
        ({"updatedReplicas": 1}, 2, False),
        ({"replicas": 3}, 2, False),
        ({"availableReplicas": 1}, 2, False),
        ({"observedGeneration": 2}, 2, False),
        ({"readyReplicas": 1}, 1, True),
    ],
)
def test_a_set_is_rolled_out_when_kubectl_rollout_status_would_end(
    status: dict[str, int], ready: int, rolled_out: bool
):
    objects = [deployment(STABLE, "ranker", OLD, **status), SCALER, {"kind": "StatefulSet"}]
    seen = seen_of(TRACKS, objects, applied=True)
    expected = PodSet(wanted=2, ready=ready, rolled_out=rolled_out, autoscaled=True, release=OLD)
    assert seen.of(STABLE, "ranker") == expected
    assert seen.of(CANARY, "ranker") == PodSet()


@pytest.mark.parametrize(
    ("found", "routed"),
    [
        ([], True),
        ([route(generation=4, observed=4)], True),
        ([route(generation=4, observed=3)], False),
        ([route(generation=4, observed=4, status="False")], False),
        ([{"kind": "HTTPRoute", "metadata": {"generation": 1}}], False),
    ],
)
def test_weights_hold_when_the_gateway_has_seen_the_route(found: list[dict[str, Any]], routed: bool):
    assert seen_of(TRACKS, found, applied=True).routed is routed


KILLED = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 137}},
}


@pytest.mark.parametrize(
    ("found", "refuses"),
    [
        (pod(CANARY, NEW, {"state": {"waiting": {"reason": "ContainerCreating"}}}), {}),
        (pod(CANARY, NEW, {"state": {"running": {}}}), {}),
        (pod(CANARY, NEW, {"state": {"waiting": {"reason": "ErrImagePull"}}}), {}),
        (pod(CANARY, OLD, KILLED), {}),
        (pod(CANARY, NEW, {**KILLED, "ready": True}), {}),
        (
            pod(CANARY, NEW, {"state": {"waiting": {"reason": "ImagePullBackOff"}}}),
            {CANARY: "pod/shop-canary-ranker-1: ImagePullBackOff"},
        ),
        (
            pod(CANARY, NEW, {"state": {"terminated": {"reason": "OOMKilled"}}}),
            {CANARY: "pod/shop-canary-ranker-1: OOMKilled: it needs more memory than its limit of 64Mi"},
        ),
    ],
)
def test_a_pod_refuses_when_it_will_not_start_and_is_of_this_release(
    found: dict[str, Any], refuses: dict[str, str]
):
    assert seen_of(TRACKS, [found], applied=True).refuses == refuses


def test_the_time_of_a_weight_is_remembered_and_that_of_the_first_users():
    none = {STABLE: track(OLD, weight=100), CANARY: track(NEW, weight=0)}
    assert moves(none, none, first=True) == {}
    assert set(moves(none, TRACKS, first=True)) == {"since", "began"}
    assert set(moves(none, TRACKS, first=False)) == {"since"}
    assert set(moves(TRACKS, none, first=False)) == {"since"}


def test_a_status_says_what_a_person_and_a_script_ask_for():
    sets = {(name, bento): PodSet(wanted=2, ready=1) for name in TRACKS for bento in BENTOS}
    state = State(since="2026-01-01T10:00:00Z", outcome="inconclusive", judged="10:05", reasons="errors: few")
    held = Held(holder="alice@desk", acquired="9:59", renewed="10:05", state=state)
    found = Status(seen=Seen(tracks=TRACKS, sets=sets), held=held, steps=(5, 25, 50))
    said = "\n".join(found.lines())
    for part in (
        OLD,
        NEW,
        "25",
        "1/2",
        "step 2 of 3 (25 %), since 2026-01-01T10:00:00Z",
        "alice@desk",
        "few",
    ):
        assert part in said
    assert {"weight": 25, "step": 2, "holder": "alice@desk", "canary": NEW}.items() <= found.as_json().items()


def test_the_status_of_a_canary_that_is_over_tells_how_it_ended():
    tracks = {STABLE: track(OLD, weight=100), CANARY: park(track(NEW))}
    held = Held(
        state=State(release=NEW, ended="aborted", outcome="fail", judged="now", reasons="errors: many")
    )
    found = Status(seen=Seen(tracks=tracks, applied=False, busy="another Helm"), held=held, steps=(5,))
    said = "\n".join(found.lines())
    for part in (
        f"the last one, {NEW}, was aborted",
        "fail: errors: many",
        "another Helm",
        "did not go through",
    ):
        assert part in said
    assert (found.as_json()["canary"], found.as_json()["step"]) == (None, 0)
