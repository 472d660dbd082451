"""What the embedded cluster promises to whatever runs on it."""

import http.client
import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from tests.e2e.devcluster.waiting import eventually

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded import images
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.errors import ClusterError, InputError

NAMESPACE = "devcluster-services"
USERS = 400


@pytest.fixture(scope="module")
def workload(cluster: ClusterAccess, cluster_config: EmbeddedConfig) -> Iterator[ClusterAccess]:
    """A web server behind two Services, and a Redis that is loaded from an archive and pinned by digest."""
    recipes = images.read_recipes(cluster_config.sources / "images.toml")
    archive = max(cluster_config.cache.glob("image-redis-*/image.tar"), key=lambda file: file.stat().st_mtime)
    values = {
        "answer_image": f"{images.PREFIX}/coredns:{recipes['coredns'].version}",
        "cache_image": embedded.load_image(cluster_config, archive).pinned,
    }
    manifest = Template(Path(__file__).with_name("workload.yaml").read_text()).substitute(values)
    cluster.run_kubectl("create", "namespace", NAMESPACE)
    try:
        cluster.run_kubectl("apply", "--namespace", NAMESPACE, "--filename", "-", stdin=manifest)
        _wait(cluster, "Ready", "pod/cache")
        _wait(cluster, "Available", "deployment/answer")
        yield cluster
    finally:
        cluster.run_kubectl("delete", "namespace", NAMESPACE, timeout_s=120)


def _wait(cluster: ClusterAccess, condition: str, what: str) -> None:
    wait = ("wait", f"--for=condition={condition}", "--namespace", NAMESPACE, what, "--timeout=60s")
    cluster.run_kubectl(*wait, timeout_s=70)


def _in_cache(cluster: ClusterAccess, *command: str) -> str:
    return cluster.run_kubectl("exec", "--namespace", NAMESPACE, "cache", "--", *command)


@pytest.mark.parametrize("name", ["cache", f"cache.{NAMESPACE}", f"cache.{NAMESPACE}.svc.cluster.local"])
def test_a_pod_finds_a_service_by_name(workload: ClusterAccess, name: str) -> None:
    """Also its own: on one node, the way through a Service back to the same pod is the one that breaks."""
    eventually(lambda: _in_cache(workload, "redis-cli", "-h", name, "ping").strip() == "PONG")


def test_a_name_of_the_outside_is_answered_with_no_at_once(workload: ClusterAccess) -> None:
    """A library that calls home must fail, not hang through its first minute."""
    with pytest.raises(ClusterError, match=r"[Nn]ame|resolve|known"):
        workload.run_kubectl(
            "exec",
            "--namespace",
            NAMESPACE,
            "cache",
            "--",
            "redis-cli",
            "-h",
            "example.com",
            "ping",
            timeout_s=5,
        )


def test_a_pod_knows_its_memory_limit(workload: ClusterAccess) -> None:
    """The memory budget of a service is made from what it reads here."""
    script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    # The image holds no cat: grep prints a file just as well.
    limits = _in_cache(workload, "sh", "-c", script.replace("cat", "grep -h ''") + " || true").split()
    assert str(64 * 2**20) in limits


def _ask(cluster: ClusterAccess, user: int) -> tuple[int, str | None]:
    port = urllib.parse.urlsplit(cluster.gateway_url or "").port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health", headers={"host": "answer.example", "x-user-id": f"user-{user}"})
        answer = connection.getresponse()
        return answer.status, answer.headers["x-tonnage-track"]
    finally:
        connection.close()


def test_the_gateway_splits_users_by_weight_and_each_stays_where_he_is(workload: ClusterAccess) -> None:
    """A user who changes tracks between two requests makes every comparison of them worthless."""
    eventually(lambda: _ask(workload, 0)[0] == http.HTTPStatus.OK)
    # Until both backends are known to the proxy, the first takes all.
    eventually(lambda: {_ask(workload, user)[1] for user in range(40)} == {"stable", "canary"})
    first = [_ask(workload, user) for user in range(USERS)]
    assert {status for status, _ in first} == {http.HTTPStatus.OK}
    assert [_ask(workload, user) for user in range(USERS)] == first
    share = Counter(track for _, track in first)["canary"] / USERS
    assert 0.18 < share < 0.32, "25 % of 400 users, give or take three standard errors"


def test_pods_have_metrics_for_an_autoscaler(workload: ClusterAccess) -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"

    def measured() -> set[str]:
        answer = json.loads(workload.run_kubectl("get", "--raw", path))
        return {item["metadata"]["name"] for item in answer["items"] if item["containers"]}

    eventually(lambda: "cache" in measured())


def test_prometheus_scrapes_what_is_annotated_and_the_containers(cluster: ClusterAccess) -> None:
    def value(query: str) -> float:
        url = f"{cluster.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            found = json.load(answer)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    eventually(lambda: value('count(up{job="pods",namespace=~"kube-system|envoy-gateway-system"} == 1)') >= 2)
    eventually(lambda: value('count(container_memory_working_set_bytes{namespace="kube-system"})') >= 1)


def test_what_is_no_image_is_refused_with_its_name(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, tmp_path: Path
) -> None:
    wrong = tmp_path / "notes.txt"
    wrong.write_text("not an image")
    with pytest.raises(InputError, match=r"notes\.txt"):
        embedded.load_image(cluster_config, wrong)
