"""What a cluster tells of pods, made rows: of objects as the API server and a kubelet write them."""

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tonnage.errors import ClusterError
from tonnage.load.readings import MEASURED_AT, Told, of_kubelet, of_pod, rows, without_repeats
from tonnage.load.runs import SERVER
from tonnage.load.sampling import Sampler

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "shop-stable-retriever-6c5d8f9b7-x2x4k"

POD: dict[str, Any] = {
    "metadata": {
        "name": NAME,
        "namespace": "shop",
        "creationTimestamp": "2026-03-01T11:00:00Z",
        "labels": {
            "app.kubernetes.io/instance": "shop",
            "app.kubernetes.io/component": "retriever",
            "tonnage.dev/track": "stable",
            "tonnage.dev/release": "r-20260301-0123abcd",
        },
    },
    "spec": {
        "nodeName": "node",
        "containers": [
            {
                "name": "retriever",
                "ports": [{"name": "http", "containerPort": 3000}, {"name": "grpc", "containerPort": 3001}],
                "resources": {"limits": {"cpu": "1500m", "memory": "512Mi"}},
            }
        ],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "retriever",
                "ready": True,
                "restartCount": 2,
                "state": {"running": {"startedAt": "2026-03-01T11:30:00Z"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-03-01T11:29:00Z"}},
            }
        ],
    },
}


def _kubelet(metric: str, value: str, *, container: str = "retriever", namespace: str = "shop") -> str:
    """A line as cAdvisor writes it, with the time at which it measured."""
    labels = (
        f'container="{container}",id="/kubepods/a",image="i",name="n",namespace="{namespace}",pod="{NAME}"'
    )
    return f"{metric}{{{labels}}} {value} 1772366400123\n"


CADVISOR = "".join(
    [
        "# HELP container_cpu_cfs_periods_total Number of elapsed enforcement period intervals.\n",
        "# TYPE container_cpu_cfs_periods_total counter\n",
        _kubelet("container_cpu_cfs_periods_total", "1200"),
        _kubelet("container_cpu_cfs_throttled_periods_total", "30"),
        _kubelet("container_cpu_cfs_throttled_seconds_total", "1.5"),
        _kubelet("container_cpu_usage_seconds_total", "77", container=""),
        _kubelet("container_cpu_usage_seconds_total", "65.25"),
        _kubelet("container_cpu_usage_seconds_total", "1", namespace="other"),
        _kubelet("container_memory_working_set_bytes", "1000", container="POD"),
        _kubelet("container_memory_working_set_bytes", "3.1457280e+08"),
        _kubelet("container_oom_events_total", "4"),
    ]
)

OWN = """\
# TYPE tonnage_admission_refused_total counter
tonnage_admission_refused_total{reason="queue",release="r",service="retriever",track="stable"} 5.0
tonnage_admission_refused_total{reason="memory",release="r",service="retriever",track="stable"} 2.0
tonnage_admission_refused_created{reason="queue",release="r",service="retriever",track="stable"} 1.7e+09
tonnage_admission_queued{release="r",service="retriever",track="stable"} 3.0
tonnage_requests_in_flight{release="r",service="retriever",track="stable"} 4.0
tonnage_memory_measured_bytes{release="r",service="retriever",track="stable",what="process"} 1.0
tonnage_memory_measured_bytes{release="r",service="retriever",track="stable",what="working_set"} 2.0e+08
"""

METRICS = {
    "kind": "PodMetricsList",
    "items": [
        {
            "metadata": {"name": NAME},
            "containers": [{"name": "retriever", "usage": {"cpu": "9m", "memory": "250000Ki"}}],
        }
    ],
}

API = {
    "/api/v1/namespaces/shop/pods?labelSelector=app.kubernetes.io%2Finstance%3Dshop": json.dumps(
        {"items": [POD]}
    ),
    f"/api/v1/namespaces/shop/pods/{NAME}:3000/proxy/metrics": OWN,
    "/api/v1/nodes/node/proxy/metrics/resource": "",
    "/api/v1/nodes/node/proxy/metrics/cadvisor": CADVISOR,
    "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods": json.dumps(METRICS),
}
PODS, PODS_OWN, _, KUBELET, MEMORY = API


def test_a_pod_becomes_a_row_of_everything_that_is_known() -> None:
    told = Told(pods=[POD], kubelet=of_kubelet(CADVISOR, namespace="shop"), own={NAME: of_pod(OWN)})
    (row,) = rows(told, since=SINCE, ooms_before={(NAME, "retriever"): 4})
    assert row == {
        "pod": NAME,
        "track": "stable",
        "bento": "retriever",
        "release": "r-20260301-0123abcd",
        "memory_working_set": 200_000_000,
        "memory_limit": 512 * 2**20,
        "cpu_s": 65.25,
        "cpu_limit": 1.5,
        "periods": 1200,
        "throttled": 30,
        "queue": 3.0,
        "in_flight": 4.0,
        "refused": 7.0,
        "restarts": 2,
        "oom_killed": False,
        "ready": True,
    }


def test_what_was_killed_before_the_run_is_not_of_the_run() -> None:
    (before,) = rows(Told(pods=[POD]), since=SINCE, ooms_before={})
    (during,) = rows(Told(pods=[POD]), since=SINCE - timedelta(hours=1), ooms_before={})
    assert (before["oom_killed"], during["oom_killed"]) == (False, True)


def test_a_worker_that_is_killed_inside_a_living_container_counts() -> None:
    """Its supervisor lives on, so that Kubernetes shows no restart."""
    kubelet = of_kubelet(CADVISOR, namespace="shop")
    (row,) = rows(Told(pods=[POD], kubelet=kubelet), since=SINCE, ooms_before={(NAME, "retriever"): 3})
    assert row["oom_killed"]


def test_a_pod_that_is_down_for_its_memory_counts_since_whenever_it_is() -> None:
    """An index that does not fit is killed at every start, and starts are minutes apart."""
    down = deepcopy(POD)
    down["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    (row,) = rows(Told(pods=[down]), since=SINCE, ooms_before={})
    assert row["oom_killed"]


def test_pods_of_no_track_and_pods_that_just_begin_do_no_harm() -> None:
    redis, pending = deepcopy(POD), deepcopy(POD)
    del redis["metadata"]["labels"]["tonnage.dev/track"]
    pending["status"] = {"phase": "Pending"}
    del pending["spec"]["containers"][0]["resources"]["limits"]
    (row,) = rows(Told(pods=[redis, pending]), since=SINCE, ooms_before={})
    assert (row["ready"], row["memory_limit"], row["cpu_limit"], row["restarts"]) == (False, 0, 0.0, 0)


def sampler(without: dict[str, str] | None = None, **changed: str) -> Sampler:
    """Of an API server that refuses some paths."""

    def ask(path: str) -> str:
        if path in (without or {}):
            raise ClusterError((without or {})[path])
        return {**API, **changed}[path]

    return Sampler(ask, name="shop", namespace="shop")


@pytest.mark.parametrize(
    ("without", "memory", "named"),
    [
        ([], 200_000_000, set()),
        ([KUBELET, MEMORY], 200_000_000, {"the kubelet's CPU and memory", "the metrics API"}),
        ([PODS_OWN], 300 * 2**20, {"pods' own metrics"}),
        ([PODS_OWN, MEMORY], 300 * 2**20, {"pods' own metrics", "the metrics API"}),
        ([PODS_OWN, KUBELET], 250_000 * 2**10, {"pods' own metrics", "the kubelet's CPU and memory"}),
        (
            [KUBELET, MEMORY, PODS_OWN],
            None,
            {"the kubelet's CPU and memory", "the metrics API", "pods' own metrics"},
        ),
    ],
)
def test_memory_is_told_by_whoever_may_be_asked(
    without: list[str], memory: int | None, named: set[str]
) -> None:
    """Without metrics-server, or the right to ask the kubelet, there is less to judge, not nothing."""
    one = sampler(dict.fromkeys(without, "forbidden"))
    one.look()
    columns = one.columns(started=datetime.now(UTC), seconds=60)
    assert columns is not None
    assert list(columns) == SERVER.names
    assert list(columns["memory_working_set"]) == [memory]
    assert set(one.missing) == named
    assert (columns["throttled"][0] is None) == (KUBELET in without)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (sampler({PODS: "pods is forbidden: User nobody cannot list"}), "pods is forbidden"),
        (sampler(**{PODS: '{"items": []}'}), "the Helm release has no pods"),
    ],
)
def test_no_pods_at_the_beginning_is_an_error(one: Sampler, says: str) -> None:
    with pytest.raises(ClusterError, match=says):
        one.look()


def test_a_counter_is_told_once_for_each_time_that_it_was_measured() -> None:
    """Told again, it would say that the pod stood still; and when it is measured, that it did all at once."""
    pages = {KUBELET: CADVISOR}
    one = Sampler(lambda path: {**API, **pages}[path], name="shop", namespace="shop")
    one.look()
    one.look()
    pages[KUBELET] = CADVISOR.replace("1772366400123", "1772366410456").replace(" 65.25 ", " 70 ")
    one.look()
    columns = one.columns(started=datetime.now(UTC), seconds=60)
    assert columns is not None
    assert [list(columns[name]) for name in ("cpu_s", "periods")] == [[65.25, None, 70.0], [1200, None, 1200]]
    assert None not in list(columns["memory_working_set"])


def test_a_pod_of_two_containers_is_measured_when_either_is() -> None:
    """Otherwise it would be only when both are at once."""
    told = {(NAME, each): {"cpu_s": 1.0, MEASURED_AT: at} for each, at in (("retriever", 2.0), ("mesh", 1.0))}
    before = dict.fromkeys(told, 1.0)
    assert without_repeats(told, before) == told
    assert without_repeats(told, {whose: each[MEASURED_AT] for whose, each in told.items()}) == {
        whose: {MEASURED_AT: each[MEASURED_AT]} for whose, each in told.items()
    }


def test_one_container_does_not_speak_for_the_memory_of_two() -> None:
    two = deepcopy(POD)
    two["status"]["containerStatuses"].append({**two["status"]["containerStatuses"][0], "name": "mesh"})
    two["spec"]["containers"].append({"name": "mesh", "resources": {"limits": {"memory": "64Mi"}}})
    kubelet = {(NAME, each): {"working_set": 3e8} for each in ("retriever", "mesh")}
    (row,) = rows(Told(pods=[two], kubelet=kubelet, own={NAME: of_pod(OWN)}), since=SINCE, ooms_before={})
    assert row["memory_working_set"] == 600_000_000


def test_nobody_in_the_queue_is_never_one_less() -> None:
    """A gauge that is read between two counts; one such row, and no row of the run could be read."""
    said = of_pod(OWN.replace('track="stable"} 3.0', 'track="stable"} -1.0'))
    assert (said["queue"], said["in_flight"]) == (0.0, 4.0)


def test_only_looks_around_the_run_are_of_the_run() -> None:
    one = sampler()
    one.look()
    now = datetime.now(UTC)
    assert one.columns(started=now + timedelta(seconds=60), seconds=60) is None
    assert one.columns(started=now - timedelta(seconds=90), seconds=60) is None
    just_before = one.columns(started=now + timedelta(seconds=2), seconds=60)
    assert just_before is not None
    assert list(just_before["at_s"]) == [0.0]


def test_a_page_that_is_no_metrics_is_missing_and_no_crash() -> None:
    one = sampler(**{KUBELET: "container_memory_working_set_bytes{oops 3\n"})
    one.look()
    assert "the kubelet's CPU and memory" in one.missing
