"""What the chart's README tells people to type works as it stands there, and fails no request."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import Kubectl
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.traffic import Shop, Traffic, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig, own_chart

NAME = "by-hand"

SECTION = re.compile(r"^## A canary, with helm and kubectl\n(.*?)^## ", re.MULTILINE | re.DOTALL)
SEQUENCE = re.compile(r"^### (?P<title>.*?)\n.*?^```sh\n(?P<commands>.*?)^```", re.MULTILINE | re.DOTALL)

Play = Callable[..., str]


def sequences() -> Mapping[str, list[str]]:
    """The commands under each heading of the section, in their order."""
    section = SECTION.search((own_chart() / "README.md").read_text(encoding="utf-8"))
    assert section is not None
    return {each["title"]: each["commands"].splitlines() for each in SEQUENCE.finditer(section[1])}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, voyage: Voyage) -> Path:
    """A checkout as the reader has it after `tonnage package`, for the second release."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "charts").symlink_to(own_chart().parent)
    packaging = desk / "build" / "packaging"
    packaging.mkdir(parents=True)
    shutil.copy(voyage.second.values, packaging / "values.yaml")
    stable = yaml.safe_load(voyage.second.values.read_text(encoding="utf-8"))["tracks"]["stable"]
    canary = {"tracks": {"canary": {**stable, "weight": 0}}}
    (packaging / "values-canary.yaml").write_text(yaml.safe_dump(canary), encoding="utf-8")
    return desk


@pytest.fixture
def play(cluster: ClusterAccess, config: DeploymentConfig, desk: Path) -> Play:
    """Type a sequence, or some of its commands, for this shop instead of `shop`."""
    tools = desk / "tools"
    tools.mkdir(exist_ok=True)
    for name, tool in {"helm": cluster.helm, "kubectl": cluster.kubectl}.items():
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(shutil.which(tool) or tool)
    environment = {**os.environ, **cluster.environment, "PATH": f"{tools}:{os.environ['PATH']}"}
    environment |= {"KUBECONFIG": str(cluster.kubeconfig)} if cluster.kubeconfig else {}

    def run(title: str, only: slice = slice(None)) -> str:
        said = ""
        for command in sequences()[title][only]:
            own = re.sub(r"\bshop\b", config.name, command)
            shell = ["/bin/sh", "-c", own]
            ended = subprocess.run(
                shell, cwd=desk, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert ended.returncode == 0, f"{own}\n{ended.stdout}{ended.stderr}"
            said += ended.stdout
        return said

    return run


def nothing_failed(traffic: Traffic) -> None:
    assert traffic.answers
    assert traffic.failures == []
    lacking = [(place, each.body) for place, each in enumerate(traffic.answers) if each.body.get("fallback")]
    assert [(place, len(traffic.answers), body["track"], body["release"]) for place, body in lacking] == []


def serving(shop: Shop, track: str) -> str:
    answer = shop.ask("/v1/release", track=track)
    assert answer.track == track
    return str(answer.body["id"])


def pods(kubectl: Kubectl, track: str) -> list[str]:
    listed = kubectl("get", "deployment", "--selector", f"tonnage.dev/track={track}", "--output", REPLICAS)
    return listed.split()


REPLICAS = "jsonpath={.items[*].spec.replicas}"


def test_every_sequence_is_of_whole_commands():
    """The rest of this file types what it finds; nothing found would be nothing tested."""
    assert list(sequences()) == [
        "Start",
        "Step",
        "Promote",
        "Abort",
        "Roll back yesterday's promotion",
        "Hold a roll and go on",
    ]
    assert {line.split()[0] for each in sequences().values() for line in each} == {"helm", "kubectl"}


def test_a_canary_starts_steps_and_is_promoted_and_the_promotion_is_rolled_back(
    shop: Shop, voyage: Voyage, play: Play, kubectl: Kubectl
):
    first, second = voyage.first.release, voyage.second.release
    with steady(shop, voyage.users) as traffic:
        play("Start")
        assert {answer.track for answer in traffic.answers} == {"stable"}
        assert serving(shop, "canary") == second
        play("Step")
        assert kubectl("get", "deployment", f"{NAME}-canary-recommender", "--output", READY) == "2"
        play("Promote")
        assert (serving(shop, "stable"), pods(kubectl, "canary")) == (second, ["0"] * 3)
        said = play("Roll back yesterday's promotion")
    nothing_failed(traffic)
    assert traffic.releases == {first, second}
    assert {answer.track for answer in traffic.answers} == {"stable", "canary"}
    assert f"release {first}" in said
    assert f"release {second}" in said
    assert shop.ask("/v1/release").body["id"] == first


READY = "jsonpath={.status.readyReplicas}"


def test_a_paused_track_waits_and_a_restarted_one_serves_on(
    shop: Shop, voyage: Voyage, play: Play, kubectl: Kubectl
):
    """Whoever pauses wants to look before anything moves."""
    before = kubectl("get", "pods", "--selector", "tonnage.dev/track=stable", "--output", "name")
    with steady(shop, voyage.users) as traffic:
        play("Hold a roll and go on", slice(2))
        held = kubectl("get", "pods", "--selector", "tonnage.dev/track=stable", "--output", "name")
        assert held == before
        play("Hold a roll and go on", slice(2, None))
    nothing_failed(traffic)
    assert shop.ask("/v1/release").body["id"] == voyage.second.release


def test_an_aborted_canary_gives_its_users_back(shop: Shop, voyage: Voyage, play: Play, kubectl: Kubectl):
    with steady(shop, voyage.users) as traffic:
        play("Start")
        play("Step", slice(2, None))
        eventually(lambda: "canary" in {answer.track for answer in traffic.answers[-20:]})
        play("Abort")
    nothing_failed(traffic)
    assert pods(kubectl, "canary") == ["0"] * 3
    assert {shop.slate(user).track for user in voyage.users} == {"stable"}
