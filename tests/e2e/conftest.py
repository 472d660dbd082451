"""One embedded cluster for the whole tier, and two real releases packaged into it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.packaged import Packaged, Voyage

from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.datasets.tables import read
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.pipeline import package
from tonnage.releases.release import Release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Spoken
from tonnage.training.config import TrainingConfig
from tonnage.training.training import train

ROOT = Path(__file__).resolve().parents[2]

PROGRESS = Spoken()

Kubectl = Callable[..., str]

STATE = Path.home() / ".local" / "state" / "tonnage" / "tests"
"""A place of its own, so that a cluster somebody works with stays as it is; always the same, so that the next
run finds and takes away what a killed run left."""


@pytest.fixture(scope="session")
def cluster_config() -> Iterator[EmbeddedConfig]:
    """The tests' cluster; `TONNAGE_STATE_DIR` lends them one that runs already, which then stays."""
    with pytest.MonkeyPatch.context() as patch:
        if "TONNAGE_STATE_DIR" not in os.environ:
            patch.setenv("TONNAGE_STATE_DIR", str(STATE))
        yield EmbeddedConfig.of(os.environ)


@pytest.fixture(scope="session")
def cluster(cluster_config: EmbeddedConfig) -> Iterator[ClusterAccess]:
    """A running cluster with all its add-ons; taken down at the end, if it was brought up here."""
    lent = embedded.status(cluster_config).running
    try:
        yield embedded.up(cluster_config, progress=PROGRESS)
    finally:
        if not lent:
            embedded.down(cluster_config, progress=PROGRESS)


@pytest.fixture
def kubectl(cluster: ClusterAccess, config: DeploymentConfig) -> Kubectl:
    """Kubectl in the namespace of the shop that the folder's `config` names."""

    def run(*arguments: str) -> str:
        return cluster.run_kubectl("--namespace", config.namespace, *arguments, timeout_s=200)

    return run


@pytest.fixture(scope="session")
def voyage(packaged: Callable[..., Packaged], tmp_path_factory: pytest.TempPathFactory) -> Voyage:
    """Through the real stages, in the project's own `build/`: what `tonnage up` made is not made again."""
    project = Project.open(ROOT / "tonnage.toml")
    out = tmp_path_factory.mktemp("voyage")
    first = stages.release(project, PROGRESS)
    quick = project.section("training", TrainingConfig).model_copy(
        update={"lessons": 1, "trees": 40, "judge_days": 7}
    )
    other = train(read(project.data), project.features, quick, progress=PROGRESS)
    second = write_release(other, out / "releases")
    assert second.id != first.id
    users = pq.read_table(project.features / "rows" / "user_history.parquet", columns=["user_id"])
    return Voyage(
        first=packaged(first, project, people=project.data),
        second=packaged(second, project),
        features=project.features,
        users=tuple(dict.fromkeys(users.column("user_id").to_pylist()))[:20],
        item=str(first.items.column("item_id")[0].as_py()),
    )


@pytest.fixture(scope="session")
def packaged(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Packaged]:
    """Package a release into the cluster; all at one place: a later one brings its model only."""
    out = tmp_path_factory.mktemp("packaging")

    def kept(file: Path, release: Release) -> Path:
        return file.rename(out / f"{release.id}-{file.name}")

    def make(release: Release, project: Project, people: Path | None = None) -> Packaged:
        made = package(
            release,
            project.section("packaging", PackagingConfig),
            out,
            cache=cluster_config.cache / "layers",
            sink=stages.embedded_sink(cluster_config),
            progress=PROGRESS,
            people=people,
        )
        loadtest = kept(made.loadtest_values, release) if made.loadtest_values else None
        return Packaged(release=release.id, values=kept(made.values_path, release), loadtest=loadtest)

    return make
