"""Other limits as Helm values, and as a patch of a running pod."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.load.line import MIB, Place
from tonnage.load.resizing import limit_in_force, resize_patch, resizing, values_at

BENTOS = ("retriever", "ranker", "ranker", "recommender")


def place(limit: int = 512 * MIB) -> Place:
    return Place(
        memory_limit_bytes=limit,
        cpu_cores=1,
        precision="hnsw-i8",
        resident_bytes=1,
        needed_bytes=1,
        recall_at_100=1,
    )


def pod(
    bento: str = "retriever", *, limit: str | None = "768Mi", request: str | None = "288Mi"
) -> dict[str, Any]:
    limits = {"memory": limit} if limit else {}
    requests = {"memory": request} if request else {}
    return {
        "metadata": {"name": f"shop-{bento}-0", "labels": {"app.kubernetes.io/component": bento}},
        "spec": {
            "containers": [
                {"name": bento, "resources": {"limits": limits, "requests": {"cpu": "100m", **requests}}}
            ]
        },
        "status": {"containerStatuses": [{"resources": {"limits": limits}}]},
    }


def patched(patch: dict[str, Any] | None) -> tuple[str, str]:
    assert patch is not None
    [container] = patch["spec"]["containers"]
    return container["resources"]["limits"]["memory"], container["resources"]["requests"]["memory"]


def test_one_retriever_gets_the_place_and_nobody_is_scaled_meanwhile():
    values = {
        "redis": {"enabled": False},
        "tracks": {
            "stable": {"release": "r", "overrides": {"retriever": {"env": {"A": "1"}}, "ranker": {"x": 1}}}
        },
    }
    made = values_at(values, place(), [pod(each) for each in BENTOS])
    assert made["redis"] == {"enabled": False}
    track = made["tracks"]["stable"]
    assert track["replicas"] == {"retriever": 1, "ranker": 2, "recommender": 1}
    assert track["overrides"]["ranker"] == {"x": 1}
    assert track["overrides"]["retriever"] == {
        "env": {"A": "1", "TONNAGE_INDEX": "hnsw-i8"},
        "resources": {"limits": {"memory": str(512 * MIB)}, "requests": {"memory": str(288 * MIB)}},
    }
    assert "replicas" not in values["tracks"]["stable"], "what was given is what is put back"


def test_numbers_of_pods_that_were_fixed_stay():
    values = {"tracks": {"stable": {"release": "r", "replicas": {"ranker": 0, "recommender": 0}}}}
    made = values_at(values, place(), [pod()])
    assert made["tracks"]["stable"]["replicas"] == {"retriever": 1, "ranker": 0, "recommender": 0}


@given(limit=st.integers(MIB, 2**40))
def test_no_pod_requests_more_than_its_limit(limit: int):
    """Kubernetes refuses such a pod."""
    values = {"tracks": {"stable": {"release": "r"}}}
    made = values_at(values, place(limit), [pod()])["tracks"]["stable"]["overrides"]["retriever"]["resources"]
    assert int(made["requests"]["memory"]) <= limit
    patch = resize_patch(pod(), limit)
    if limit == 768 * MIB:
        assert patch is None
    else:
        given_limit, request = patched(patch)
        assert int(request) <= int(given_limit) == limit


def test_a_pod_whose_requests_are_its_limits_stays_of_its_class():
    """Kubernetes does not change the class of service of a running pod."""
    assert patched(resize_patch(pod(request="768Mi"), 512 * MIB)) == (str(512 * MIB), str(512 * MIB))


def test_a_pod_gets_back_what_its_template_requests():
    lowered = pod(limit="128Mi", request="128Mi")
    patch = resize_patch(lowered, 768 * MIB, requested={"memory": "288Mi"})
    assert patched(patch) == (str(768 * MIB), str(288 * MIB))
    assert resize_patch(pod(), 768 * MIB, requested={"memory": "288Mi"}) is None


def test_a_limit_is_in_force_when_the_kubelet_says_so():
    assert limit_in_force(pod()) == 768 * MIB
    assert limit_in_force({"status": {}}) == 0


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ([], "it says nothing"),
        ([{"type": "Ready"}], "it says nothing"),
        (
            [{"type": "PodResizePending", "reason": "Infeasible", "message": "Node didn't have enough"}],
            "Infeasible Node didn't have enough",
        ),
    ],
)
def test_what_keeps_a_pod_from_its_limit_is_told_in_the_kubelets_words(conditions: Any, says: str):
    assert resizing({"status": {"conditions": conditions}}) == says
