"""charts/loadtest against a real shop: its Jobs end with the gate's verdict, and keep what they saw."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.conftest import HOST

from tonnage.deployment.access import ClusterAccess, run
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import Deployed
from tonnage.deployment.helm import make_namespace
from tonnage.errors import ClusterError
from tonnage.load.figures import sampled
from tonnage.load.runs import Run
from tonnage.load.slo import Slo
from tonnage.packaging.config import BENTOS

CHART = Path(__file__).resolve().parents[3] / "charts" / "loadtest"
EXAMPLE = CHART / "ci" / "shop-values.yaml"
NAMESPACE = "tonnage-loadtest"
CLAIM = "runs"

SMALL = {
    "workers": 2,
    "workerResources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    "masterResources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "1Gi"}},
    "results": {"existingClaim": CLAIM},
}
"""A node of two cores has the shop and its load beside each other."""

LENIENT = """
[requests]
warm_up_s = 5
least = 20
least_seconds = 15

[latency.at_most_ms]
p50 = 5000

[answers]
errors = 0.2
refused = 0.2

[server]
memory_share = 1.0
oom_kills = 0
restarts = 0

[generator]
cpu_mean = 2.0
cpu_max = 2.0
"""
"""What is at trial is the chart, on a machine that others keep busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a load test ended.

    Attributes:
        pod: of its master.
        exit_code: of that.
        log: of the master.
    """

    pod: str
    exit_code: int
    log: str


Load = Callable[..., Ended]


def volume(directory: Path) -> str:
    """A claim whose volume is a directory of this machine, which is the only node."""
    about = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    of_volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": NAMESPACE},
        "spec": {
            **about,
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": str(directory), "type": "Directory"},
            "claimRef": {"namespace": NAMESPACE, "name": CLAIM},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM, "namespace": NAMESPACE},
        "spec": {**about, "volumeName": NAMESPACE, "resources": {"requests": {"storage": "1Gi"}}},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [of_volume, claim]})


@pytest.fixture(scope="module")
def results(cluster: ClusterAccess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the claim holds."""
    directory = tmp_path_factory.mktemp("results")
    # Nothing owns a directory of the host's but its owner: fsGroup is for volumes that a driver makes.
    directory.chmod(0o777)
    for above in directory.parents:
        if above.name.startswith("pytest-"):
            above.chmod(0o755)
    make_namespace(cluster, NAMESPACE)
    cluster.run_kubectl("apply", "--filename", "-", stdin=volume(directory))
    yield directory
    with suppress(ClusterError):
        cluster.run_kubectl("delete", "namespace", NAMESPACE, "--wait", timeout_s=120)
    cluster.run_kubectl("delete", "persistentvolume", NAMESPACE, "--ignore-not-found")


@pytest.fixture(scope="module")
def load(
    cluster: ClusterAccess,
    deployed: Deployed,
    voyage: Voyage,
    results: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Load]:
    """Install the chart and wait for its verdict; all of it is taken away at the end."""
    assert voyage.first.loadtest is not None
    packaged = str(voyage.first.loadtest)
    own = tmp_path_factory.mktemp("values")

    def kubectl(*arguments: str) -> str:
        return cluster.run_kubectl("--namespace", NAMESPACE, *arguments, timeout_s=180)

    names: list[str] = []

    def installed(name: str, **values: Any) -> Ended:
        names.append(name)
        file = own / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**SMALL, **values}), encoding="utf-8")
        files = ("--values", packaged, "--values", str(file))
        cluster.run_helm("install", name, str(CHART), "--namespace", NAMESPACE, *files)
        job = f"{name}-master-1"
        code = ".status.containerStatuses[0].state.terminated.exitCode"
        pods = ("pod", "--selector", f"job-name={job}")
        kubectl("wait", f"--for=jsonpath={{{code}}}", "--timeout=150s", *pods)
        told = f"jsonpath={{.items[0].metadata.name}} {{.items[0]{code}}}"
        pod, exit_code = kubectl("get", *pods, "--output", told).split()
        condition = "Complete" if exit_code == "0" else "Failed"
        kubectl("wait", f"--for=condition={condition}", "--timeout=60s", f"job/{job}")
        return Ended(pod=pod, exit_code=int(exit_code), log=kubectl("logs", pod))

    yield installed
    # Some of it is in the shop's namespace, and some in none.
    for name in names:
        cluster.run_helm("uninstall", name, "--namespace", NAMESPACE, "--ignore-not-found")


def test_the_charts_suites_pass(cluster: ClusterAccess):
    assert cluster.helm_unittest is not None
    said = run([cluster.helm_unittest, "--strict", str(CHART)], timeout_s=120)
    assert " failed" not in said.split("Charts:")[1]
    cluster.run_helm("lint", "--strict", str(CHART), "--values", str(EXAMPLE))


def test_the_api_server_takes_every_object(cluster: ClusterAccess):
    """Helm checks templates; only the API server knows every field of every kind."""
    options = ("--values", str(EXAMPLE), "--set", "rbac.nodes=true", "--set", "target.namespace=default")
    rendered = cluster.run_helm("template", "load", str(CHART), *options)
    arguments = ("apply", "--namespace", "default", "--dry-run=server", "--filename", "-")
    said = cluster.run_kubectl(*arguments, stdin=rendered)
    assert said.count("(server dry run)") == rendered.count("\nkind: ")


def test_a_run_that_holds_its_objective_ends_with_0_and_is_kept(
    load: Load, results: Path, voyage: Voyage, config: DeploymentConfig, cluster: ClusterAccess
):
    """Shoppers from two workers, through the Gateway; the master looks at the shop without a kubectl."""
    ended = load(
        "passes",
        host="http://tonnage-gateway.envoy-gateway-system",
        yesLoad="tonnage-gateway.envoy-gateway-system",
        gatewayHost=HOST,
        target={"name": config.name, "namespace": config.namespace},
        rbac={"nodes": True},
        people=["Returning", "New"],
        users=6,
        spawnRate=6,
        runTime="25s",
        options=["--think", "1", "--no-events"],
        slo=LENIENT,
    )
    assert ended.exit_code == 0, ended.log
    assert "verdict: pass" in ended.log
    kept = Run(results / ended.pod)
    assert (kept.facts.generator.processes, kept.facts.releases) == (2, (voyage.first.release,))
    seen = sampled(kept, Slo())
    assert seen is not None
    assert set(seen["bento"]) == set(BENTOS)
    assert (seen["memory_working_set"] > 0).all()
    # The kubelet's alone to tell.
    assert seen.groupby("bento")["cpu_s"].count().ge(1).all()
    assert (results / f"{ended.pod}.xml").read_text(encoding="utf-8").startswith("<?xml")
    # Their master said when it was over.
    workers = ("--namespace", NAMESPACE, "wait", "--for=condition=Complete", "--timeout=60s")
    cluster.run_kubectl(*workers, "job/passes-workers-1", timeout_s=90)


def test_a_run_that_no_service_could_pass_ends_with_1(load: Load, config: DeploymentConfig):
    """A retriever alone, over gRPC: the questions are drawn from the release in the image."""
    host = f"{config.name}-stable-retriever.{config.namespace}"
    ended = load(
        "fails",
        host=f"grpc://{host}:3001",
        yesLoad=host,
        people=["RetrieverGrpc"],
        users=4,
        spawnRate=4,
        runTime="12s",
        slo=LENIENT.partition("[server]")[0].replace("5000", "0.1").replace("15", "5")
        + LENIENT[LENIENT.index("[generator]") :],
    )
    assert ended.exit_code == 1, ended.log
    assert "verdict: fail" in ended.log


def test_a_host_that_is_no_recommender_ends_with_3_and_one_sentence(load: Load, cluster: ClusterAccess):
    host = "prometheus.monitoring"
    ended = load("stranger", host=f"http://{host}:9090", yesLoad=host, slo=LENIENT)
    assert ended.exit_code == 3, ended.log
    assert f"locust: http://{host}:9090 answers, but not as a recommender does" in ended.log
    assert "Traceback" not in ended.log
    # Nobody told them, and they do not wait for it: their master's name is gone.
    workers = ("--namespace", NAMESPACE, "wait", "--for=jsonpath={.status.ready}=0", "--timeout=90s")
    cluster.run_kubectl(*workers, "job/stranger-workers-1", timeout_s=120)
