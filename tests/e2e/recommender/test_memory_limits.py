"""One release under three memory limits: generous, tight, too small. And its second door, gRPC."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Large
from tests.e2e.recommender.retriever import Retriever

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import own_chart
from tonnage.deployment.helm import install, make_namespace, uninstall
from tonnage.telemetry import Spoken

TONNAGE = Path(sys.executable).with_name("tonnage")
MIB = 2**20
GENEROUS = "1Gi"
FLOOR = 0.95
PATIENCE_S = 120
"""A refusal takes two starts; Helm would wait 300 s."""

VECTOR = np.linspace(-1, 1, 128, dtype=np.float32)

Limit = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def namespace(cluster: ClusterAccess, large: Large) -> Iterator[str]:
    make_namespace(cluster, large.name)
    yield large.name
    uninstall(cluster, name=large.name, namespace=large.name)
    cluster.run_kubectl("delete", "namespace", large.name, "--wait", timeout_s=120)


@pytest.fixture(scope="module")
def run_within(cluster: ClusterAccess, large: Large, namespace: str) -> Limit:
    """Give the retriever a memory limit, by an upgrade, and return the plan that it made of it."""

    def upgrade(limit: str) -> dict[str, Any]:
        install(
            cluster,
            name=large.name,
            namespace=namespace,
            chart=own_chart(),
            values=[large.values, large.own_values],
            settings={"retriever.resources.limits.memory": limit},
            timeout_s=240,
            progress=Spoken(),
        )
        # The Service may still know the pod before for a moment.
        size = MIB * {"Mi": 1, "Gi": 1024}[limit[-2:]] * int(limit[:-2])
        retriever = Retriever(address=address(cluster, large))
        return eventually(lambda: found if (found := retriever.memory())["limit_bytes"] == size else None)

    return upgrade


@pytest.fixture(scope="module")
def generous(run_within: Limit) -> dict[str, Any]:
    return run_within(GENEROUS)


def address(cluster: ClusterAccess, large: Large) -> str:
    """Of the Service for other clients of the inference protocol."""
    service: Any = cluster.get("service", f"{large.name}-stable-retriever", "--namespace", large.name)
    return str(service["spec"]["clusterIP"])


def needed(plan: dict[str, Any], name: str) -> int:
    """Bytes of the limit that an index would need."""
    return next(int(each["needed_bytes"]) for each in plan["indexes"] if each["name"] == name)


def overlap(one: list[int], other: list[int]) -> float:
    return len(set(one) & set(other)) / len(one)


def test_within_a_generous_limit_the_most_exact_index_is_served(
    cluster: ClusterAccess, large: Large, generous: dict[str, Any]
):
    assert generous["chosen"] == "exact-f32"
    exact = np.argsort(-(large.vectors() @ VECTOR), kind="stable")[:100].tolist()
    assert Retriever(address=address(cluster, large)).nearest(VECTOR.tolist(), 100) == exact


@pytest.mark.usefixtures("generous")
def test_a_client_nobody_here_wrote_gets_the_same_answer_over_grpc(cluster: ClusterAccess, large: Large):
    host = address(cluster, large)
    script = Path(__file__).with_name("grpc_client.py")
    ran = subprocess.run(
        [sys.executable, str(script), f"{host}:3001", "128", "10"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["live"], said["ready"]) == (True, True)
    assert (said["versions"], said["version"]) == ([large.release], large.release)
    assert said["rows"] == Retriever(address=host).nearest(VECTOR.tolist(), 10)


def test_within_a_tight_limit_a_smaller_index_is_served_above_the_recall_floor(
    cluster: ClusterAccess, large: Large, generous: dict[str, Any], run_within: Limit
):
    between = (needed(generous, "exact-f32") + needed(generous, "exact-i8")) // 2
    plan = run_within(f"{between // MIB}Mi")
    assert plan["chosen"] == "exact-i8"
    chosen = next(each for each in plan["indexes"] if each["name"] == "exact-i8")
    assert chosen["recall_at_100"] >= plan["recall_floor"] == FLOOR
    exact = np.argsort(-(large.vectors() @ VECTOR), kind="stable")[:100].tolist()
    assert overlap(Retriever(address=address(cluster, large)).nearest(VECTOR.tolist(), 100), exact) >= 0.9
    [pod] = pods(cluster, large)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_within_too_small_a_limit_it_refuses_and_says_what_would_do(
    cluster: ClusterAccess, large: Large, generous: dict[str, Any], tmp_path: Path
):
    """The roll ends early, not after the minutes that Helm would wait; what ran before goes on serving."""
    smallest = generous["smallest_limit_bytes"] // MIB
    small = smallest - 12
    values = tmp_path / "small.yaml"
    own = {"retriever": {"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": f"{small}Mi"}}}}
    values.write_text(yaml.safe_dump(own), encoding="utf-8")
    began = time.monotonic()
    ran = subprocess.run(
        [str(TONNAGE), "deploy", "--project", str(large.project), "-f", str(values)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    took = time.monotonic() - began
    assert ran.returncode == 8, ran.stderr
    refusal = re.search(r"pod/(\S+) refuses to start: (no index of this release fits .*)", ran.stderr)
    assert refusal, ran.stderr
    assert f"the memory limit of {small}Mi" in refusal[2]
    assert "exact-f32 needs" in refusal[2]
    assert re.search(r"the smallest limit that would do is \d+Mi", refusal[2])
    assert took < PATIENCE_S
    described = cluster.run_kubectl("--namespace", large.name, "describe", "pod", refusal[1])
    assert refusal[2] in " ".join(described.split())
    assert "OOMKilled" not in described
    assert len(Retriever(address=address(cluster, large)).nearest(VECTOR.tolist(), 10)) == 10


def pods(cluster: ClusterAccess, large: Large) -> list[Any]:
    """Pods of the retriever that are to stay."""
    mine = f"app.kubernetes.io/instance={large.name},app.kubernetes.io/component=retriever"
    listed: Any = cluster.get("pods", "--namespace", large.name, "--selector", mine)
    return [each for each in listed["items"] if "deletionTimestamp" not in each["metadata"]]
