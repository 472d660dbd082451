"""From a load line to pods that carry what was planned; and a cluster that is left as it was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import Kubectl
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.conftest import HOST, ROOT
from tests.e2e.recommender.traffic import Shop

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import deploy
from tonnage.load.line import MIB, LoadLine, read_line
from tonnage.load.runs import Run
from tonnage.telemetry import Silent

TONNAGE = Path(sys.executable).with_name("tonnage")
LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"
PRECISION = "exact-f32"
LARGE, SMALL = 640, 512
"""MiB; the index is small, so both carry the same."""

MARGIN = 0.4
"""Share of the highest rate that is planned: pods share two cores with whoever loads them. A headroom of 1
plans pods for half of that rate, so that 1.5 times the plan is above what one pod is for."""

SLO = """\
[requests]
names = ["recommendations"]
warm_up_s = 3
least = 200
least_seconds = 20
[latency.at_most_ms]
p50 = 200
p95 = 500
[answers]
errors = 0.01
refused = 0.02
[server]
memory_share = 0.98
oom_kills = 0
restarts = 0
[generator]
cpu_mean = 0.9
cpu_max = 1.2
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("line")
    (directory / "slo.toml").write_text(SLO, encoding="ascii")
    return directory


def measuring(workshop: Path, config: DeploymentConfig, *more: str, name: str = "line") -> list[str]:
    """`tonnage load line`, in a way that ends soon."""
    return [
        *(str(TONNAGE), "load", "line", "--slo", str(workshop / "slo.toml"), "--out", str(workshop / name)),
        *("--project", str(ROOT / "tonnage.toml"), "--name", config.name, "--namespace", config.namespace),
        *("--locustfile", str(LOCUSTFILE), "--precision", PRECISION),
        *("--seconds", "24", "--start", "60", "--resolution", "0.4", "--confirmations", "1"),
        *more,
    ]


def ended(
    command: Sequence[str], *, timeout: float = 600, tools: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A command to its end, with the cluster's tools on the PATH if they are named."""
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"} if tools else None
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def retriever(kubectl: Kubectl) -> dict[str, Any]:
    """The one retriever that does not leave."""
    said = kubectl("get", "pods", "--selector", "app.kubernetes.io/component=retriever", "--output", "json")
    [pod] = [each for each in json.loads(said)["items"] if "deletionTimestamp" not in each["metadata"]]
    return dict(pod)


def limits(kubectl: Kubectl) -> tuple[str, str]:
    """What the pod may use: as it says, and as the kubelet has made of it."""
    pod = retriever(kubectl)
    [container], [status] = pod["spec"]["containers"], pod["status"]["containerStatuses"]
    return container["resources"]["limits"]["memory"], status["resources"]["limits"]["memory"]


@pytest.fixture(scope="module")
def line(workshop: Path, cluster: ClusterAccess, config: DeploymentConfig, deployed: object) -> LoadLine:
    """Measured once for this file, at two limits."""
    assert deployed
    asked = ("--memory-limit", f"{LARGE}Mi", "--memory-limit", f"{SMALL}Mi")
    before = cluster.run_helm("get", "values", config.name, "--namespace", config.namespace)
    done = ended(measuring(workshop, config, *asked))
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert cluster.run_helm("get", "values", config.name, "--namespace", config.namespace) == before
    return read_line(workshop / "line" / "load-line.json")


def test_a_line_is_measured_in_one_pod_whose_limit_changes(
    line: LoadLine, workshop: Path, kubectl: Kubectl, voyage: Voyage
):
    assert (line.release, len(line.points)) == (voyage.first.release, 2)
    assert all(point.highest_rate and point.usage["recommender"].cpu_cores > 0 for point in line.points)
    runs = [Run(each.parent) for each in sorted((workshop / "line" / "runs").glob("*/run.json"))]
    seen = {
        (row["pod"], row["memory_limit"] // MIB)
        for run in runs
        for row in run.server.to_pylist()
        if row["bento"] == "retriever"
    }
    assert len({pod for pod, _ in seen}) == 1, "a limit is changed in the running pod"
    assert {limit for _, limit in seen} == {LARGE, SMALL}
    assert "data:image/svg" in (workshop / "line" / "load-line.html").read_text(encoding="utf-8")
    assert limits(kubectl) == ("768Mi", "768Mi"), "and put back"


def test_what_was_planned_is_carried_and_half_as_much_again_after_scaling(
    line: LoadLine,
    workshop: Path,
    cluster: ClusterAccess,
    config: DeploymentConfig,
    shop: Shop,
    voyage: Voyage,
    kubectl: Kubectl,
):
    """Plan, upgrade, load at the planned rate; then at 1.5 times it."""
    assert shop
    rate = MARGIN * min(point.highest_rate or 0 for point in line.points)
    planned = workshop / "values-plan.yaml"
    file = workshop / "line" / "load-line.json"
    sizes = ("--rate", f"{rate:.4g}", "--headroom", "1", "--values", str(planned))
    done = ended([str(TONNAGE), "load", "plan", str(file), *sizes])
    assert done.returncode == 0, (done.stdout, done.stderr)
    wanted = yaml.safe_load(planned.read_text(encoding="utf-8"))
    quick = workshop / "quick.yaml"
    quick.write_text("autoscaling: {behavior: {scaleDown: {stabilizationWindowSeconds: 600}}}\n")
    values = [voyage.first.values, *config.values, planned, quick]
    plain = config.model_copy(update={"values": ()})
    deploy(cluster, plain, values=values, features=voyage.features, progress=Silent())
    try:
        assert replicas(kubectl) == {bento: each["replicas"] for bento, each in sized(wanted).items()}
        at_plan = ended(loading(workshop, config, cluster, rate, 40, "at-plan"))
        assert at_plan.returncode == 0, (at_plan.stdout, at_plan.stderr)
        before = sum(replicas(kubectl).values())
        with subprocess.Popen(
            loading(workshop, config, cluster, 1.5 * rate, 300, "grows"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        ) as growing:
            try:
                eventually(lambda: sum(replicas(kubectl).values()) > before, within_s=240)
            finally:
                growing.send_signal(signal.SIGTERM)
                growing.wait(60)
        kubectl("wait", "pods", "--all", "--for=condition=Ready", "--timeout=120s")
        above = ended(loading(workshop, config, cluster, 1.5 * rate, 40, "above"))
        assert above.returncode == 0, (above.stdout, above.stderr)
    finally:
        deploy(cluster, config, values=[voyage.first.values], features=voyage.features, progress=Silent())


def sized(values: dict[str, Any]) -> dict[str, Any]:
    return {bento: each for bento, each in values.items() if "replicas" in each}


def replicas(kubectl: Kubectl) -> dict[str, int]:
    said = kubectl("get", "deployments", "--output", "json")
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["replicas"]
        for each in json.loads(said)["items"]
    }


def loading(
    workshop: Path, config: DeploymentConfig, cluster: ClusterAccess, rate: float, seconds: int, name: str
) -> list[str]:
    """`tonnage load run` at a rate."""
    users = max(1, round(rate))
    return [
        *(str(TONNAGE), "load", "run", "--slo", str(workshop / "slo.toml")),
        *("--run-dir", str(workshop / name), "--project", str(ROOT / "tonnage.toml")),
        *("--name", config.name, "--namespace", config.namespace, "--", "--locustfile", str(LOCUSTFILE)),
        *("--host", str(cluster.gateway_url), "--gateway-host", HOST, "--project", str(ROOT)),
        *("--users", str(users), "--spawn-rate", str(users), "--pace", f"{users / rate:.4g}"),
        *("--run-time", f"{seconds}s"),
    ]


def test_interrupted_it_puts_the_limit_back_and_writes_what_it_knows(
    shop: Shop, workshop: Path, config: DeploymentConfig, kubectl: Kubectl
):
    """By SIGTERM, which takes the way of Ctrl-C: a shell starts what runs beside it deaf to SIGINT."""
    name = "interrupted"
    command = measuring(workshop, config, "--memory-limit", "560Mi", name=name)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            eventually(lambda: (workshop / name / "load-line.json").exists(), within_s=200)
            assert limits(kubectl)[1] == "560Mi"
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=200)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "the limits are as they were" in said
    assert limits(kubectl) == ("768Mi", "768Mi")
    kept = read_line(workshop / name / "load-line.json")
    assert [point.ending for point in kept.points] == ["interrupted"]
    assert (workshop / name / "load-line.html").exists()
    assert shop.slate(None).status == 200


def test_who_may_not_resize_is_told_before_anything_changes(
    workshop: Path, cluster: ClusterAccess, config: DeploymentConfig, kubectl: Kubectl, shop: Shop
):
    """And who may, but sees no pod's memory."""
    before = retriever(kubectl)["metadata"]["uid"]
    kubeconfig, tools = guest(workshop, cluster, config, kubectl), Path(cluster.helm).parent
    try:
        refused = as_guest(workshop, config, kubeconfig, shop.gateway, tools)
        assert refused.returncode == 6, (refused.stdout, refused.stderr)
        assert "may not change the limits of running pods" in refused.stderr
        assert "--restart" in refused.stderr
        rules = ("--verb=patch", "--resource=pods/resize")
        kubectl("create", "role", "resizes", *rules)
        kubectl(
            "create", "rolebinding", "resizes", "--role=resizes", f"--serviceaccount={config.namespace}:guest"
        )
        blind = as_guest(workshop, config, kubeconfig, shop.gateway, tools)
        assert blind.returncode == 8, (blind.stdout, blind.stderr)
        assert "nobody tells how much memory the retriever uses" in blind.stderr
        assert "metrics-server" in blind.stderr
    finally:
        for each in ("rolebinding/resizes", "role/resizes", "rolebinding/guest", "role/guest"):
            kubectl("delete", each, "--ignore-not-found")
        kubectl("delete", "serviceaccount/guest")
        for each in ("clusterrolebinding/line-guest", "clusterrole/line-guest"):
            kubectl("delete", each, "--ignore-not-found")
    assert retriever(kubectl)["metadata"]["uid"] == before
    assert limits(kubectl) == ("768Mi", "768Mi")


def guest(workshop: Path, cluster: ClusterAccess, config: DeploymentConfig, kubectl: Kubectl) -> Path:
    """A kubeconfig of somebody who may read the shop, and Helm's Secrets, and nothing else."""
    kubectl("create", "serviceaccount", "guest")
    reads = ("--verb=get,list", "--resource=pods,secrets,deployments.apps,replicasets.apps")
    kubectl("create", "role", "guest", *reads)
    kubectl("create", "rolebinding", "guest", "--role=guest", f"--serviceaccount={config.namespace}:guest")
    kubectl("create", "clusterrole", "line-guest", "--verb=get", "--resource=nodes")
    whose = f"--serviceaccount={config.namespace}:guest"
    kubectl("create", "clusterrolebinding", "line-guest", "--clusterrole=line-guest", whose)
    token = kubectl("create", "token", "guest").strip()
    assert cluster.kubeconfig is not None
    content = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    content["users"] = [{"name": "guest", "user": {"token": token}}]
    content["contexts"] = [
        {"name": "guest", "context": {"cluster": content["clusters"][0]["name"], "user": "guest"}}
    ]
    content["current-context"] = "guest"
    file = workshop / "guest.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def as_guest(
    workshop: Path, config: DeploymentConfig, kubeconfig: Path, host: str, tools: Path
) -> subprocess.CompletedProcess[str]:
    project = workshop / "guest"
    project.mkdir(exist_ok=True)
    (project / "tonnage.toml").write_text(f'[deployment]\nkubeconfig = "{kubeconfig}"\n', encoding="utf-8")
    if not (project / "build").exists():
        (project / "build").symlink_to(ROOT / "build")
    command = measuring(workshop, config, "--memory-limit", "560Mi", name="guest-line")
    command[command.index("--project") + 1] = str(project / "tonnage.toml")
    return ended([*command, "--host", host], tools=tools)
