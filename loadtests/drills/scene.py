"""Where the drills play: one shop on the embedded cluster, and the releases that come and go in it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from drills.turned import turned
from measures import ROOT
from shops import BENTOS, Shop, removed
from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.datasets.tables import read, read_report
from tonnage.deployment.canary.tracks import CANARY
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.deploying import deploy
from tonnage.deployment.embedded import cluster
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import install
from tonnage.errors import NotFoundError
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.pipeline import package
from tonnage.releases.release import Release, open_release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Progress
from tonnage.training.config import TrainingConfig
from tonnage.training.training import train

NAME = "canary-drill"
HOST = "canary-drill.measure.test"
WORK = ROOT / "build" / "measure" / "canary"
TONNAGE = str(Path(sys.executable).with_name("tonnage"))

ONE_POD: Mapping[str, Any] = {
    # Requests small enough for two tracks and a roll on a small node; no autoscaler, so that pods are as many
    # as a drill says.
    "autoscaling": {"enabled": False},
    "resources": {"requests": {"cpu": "60m"}},
}
OWN_VALUES: Mapping[str, Any] = {
    **dict.fromkeys(BENTOS, ONE_POD),
    "redis": {"resources": {"requests": {"cpu": "60m"}}},
    "gateway": {"hostnames": [HOST]},
    # Tracks come up beside the traffic on the same cores: a missed deadline would say that, and nothing else.
    "deadlineMs": 2000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """Helm values of packaged releases.

    Attributes:
        first: the project's own.
        second: another training on the same data: different, and good.
        reversed_: the second, whose ranker says the opposite.
    """

    first: Path
    second: Path
    reversed_: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A shop, the releases, and the tools that people use on it.

    Attributes:
        shop: runs the first release.
        releases: that may come.
        progress: is told of each drill.
    """

    shop: Shop
    releases: Releases
    progress: Progress

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 300) -> str:
        """Run kubectl in the shop's namespace."""
        access = self.shop.access
        return access.run_kubectl("--namespace", NAME, *arguments, stdin=stdin, timeout_s=timeout_s)

    def install(self, release: Path, *more: Path) -> None:
        """`helm upgrade` to a release as stable and nothing else, and wait for its pods."""
        install(
            self.shop.access,
            name=NAME,
            namespace=NAME,
            chart=own_chart(),
            values=[release, WORK / "own.yaml", *more],
            timeout_s=300,
            progress=self.progress,
        )

    def command(self, verb: str, *arguments: str, settings: str = "walk.toml") -> list[str]:
        """The command line of `tonnage canary VERB`."""
        return [TONNAGE, "canary", verb, *arguments, "--project", str(WORK / settings), "--output", "json"]

    def canary(self, verb: str, *arguments: str) -> None:
        """Run `tonnage canary VERB` to its end.

        Raises:
            subprocess.CalledProcessError: it did not do what it was told.
        """
        command = self.command(verb, *arguments)
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)

    def weight(self) -> int:
        """The canary's share of the users, in per cent, as the HTTPRoute has it; 0 without a canary."""
        [route] = yaml.safe_load(self.kubectl("get", "httproutes", "--output", "yaml"))["items"]
        everybody = route["spec"]["rules"][0]["backendRefs"]
        asked = [each["weight"] for each in everybody if each["name"] == f"{NAME}-{CANARY}-recommender"]
        return round(100 * sum(asked) / sum(each["weight"] for each in everybody))

    def calm(self) -> None:
        """Whatever a drill left: the first release is stable, and there is no canary."""
        self.install(self.releases.first)


@contextmanager
def scene(config: EmbeddedConfig, progress: Progress) -> Iterator[Scene]:
    """The shop, from nothing, and away again.

    Args:
        config: of a cluster that runs.
        progress: is told of each step.
    """
    project = Project.open(ROOT / "tonnage.toml")
    _write_settings()
    releases = _releases(project, config, progress)
    access = cluster.access(config)
    deployment = DeploymentConfig(name=NAME, namespace=NAME, timeout_s=600)
    values = [releases.first, WORK / "own.yaml"]
    try:
        deploy(access, deployment, values=values, features=project.features, progress=progress)
        shop = Shop(access=access, name=NAME, host=HOST)
        yield Scene(shop=shop, releases=releases, progress=progress)
    finally:
        removed(access, NAME, progress)


def _write_settings() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "own.yaml").write_text(yaml.safe_dump(dict(OWN_VALUES)), encoding="utf-8")
    where = f'[deployment]\nname = "{NAME}"\nnamespace = "{NAME}"\nvalues = ["own.yaml"]\ntimeout_s = 300\n'
    walks = {
        # A bad canary stays at a tenth until it is found out; a good one walks on.
        "faults.toml": "[canary]\nsteps = [10, 50]\nstep_s = 330\ntimeout_s = 330\n",
        "walk.toml": "[canary]\nsteps = [10, 50]\nstep_s = 30\ntimeout_s = 600\n",
    }
    for name, table in walks.items():
        (WORK / name).write_text(f"{where}{table}", encoding="utf-8")


def _releases(project: Project, config: EmbeddedConfig, progress: Progress) -> Releases:
    try:
        first = stages.release_named(project, "latest")
    except NotFoundError:
        first = stages.release(project, progress)
    files = [
        _packaged(each, project, config, progress) for each in (first, *_others(first, project, progress))
    ]
    return Releases(**dict(zip(("first", "second", "reversed_"), files, strict=True)))


def _others(first: Release, project: Project, progress: Progress) -> tuple[Release, Release]:
    """Another good release of the same data, and a bad one; made once for each first."""
    known = WORK / f"others-{first.id}.json"
    with suppress(NotFoundError, OSError):
        second, worst = (open_release(WORK / "releases" / name) for name in json.loads(known.read_text()))
        return second, worst
    other = project.section("training", TrainingConfig).model_copy(
        update={"lessons": 1, "trees": 60, "judge_days": 7}
    )
    with progress.stage("train a second release, and turn it round"):
        replay = read_report(project.data).replay
        trained = train(read(project.data), project.features, other, progress=progress, replay=replay)
        second = write_release(trained, WORK / "releases")
        worst = write_release(replace(trained, ranker=turned(trained.ranker)), WORK / "releases")
    known.write_text(json.dumps([second.id, worst.id]), encoding="ascii")
    return second, worst


def _packaged(release: Release, project: Project, config: EmbeddedConfig, progress: Progress) -> Path:
    made = package(
        release,
        project.section("packaging", PackagingConfig),
        WORK / "packaging",
        cache=stages.layer_cache(),
        sink=stages.embedded_sink(config),
        progress=progress,
    )
    return made.values_path.rename(WORK / f"{release.id}.yaml")
