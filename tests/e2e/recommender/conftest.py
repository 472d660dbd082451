"""Two real releases, packaged into the cluster, and a shop that runs the first."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from tests.e2e.recommender.packaged import Packaged, Voyage
from tests.e2e.recommender.traffic import Shop

from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.datasets.tables import read
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import Deployed, deploy
from tonnage.deployment.embedded.cluster import load_image
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import uninstall
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.pipeline import package
from tonnage.packaging.sinks import Loaded
from tonnage.releases.release import Release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Spoken
from tonnage.training.config import TrainingConfig
from tonnage.training.training import train

ROOT = Path(__file__).resolve().parents[3]
HOST = "voyage.example"
"""The shop answers to its own host name only, so that another shop on the cluster may keep the rest."""

PROGRESS = Spoken()


@pytest.fixture(scope="session")
def voyage(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, tmp_path_factory: pytest.TempPathFactory
) -> Voyage:
    """Through the real stages, in the project's own `build/`: what `tonnage up` made is not made again."""
    project = Project.open(ROOT / "tonnage.toml")
    out = tmp_path_factory.mktemp("voyage")
    first = stages.release(project, PROGRESS)
    quick = project.section("training", TrainingConfig).model_copy(
        update={"lessons": 1, "trees": 40, "judge_days": 7}
    )
    trained = train(read(project.data), project.features, quick, progress=PROGRESS)
    second = write_release(trained, out / "releases")
    assert second.id != first.id
    users = pq.read_table(project.features / "rows" / "user_history.parquet", columns=["user_id"])
    return Voyage(
        first=_packaged(first, project, cluster_config, out / "first"),
        second=_packaged(second, project, cluster_config, out / "second"),
        features=project.features,
        users=tuple(dict.fromkeys(users.column("user_id").to_pylist()))[:20],
        item=str(first.items.column("item_id")[0].as_py()),
    )


def _packaged(release: Release, project: Project, embedded: EmbeddedConfig, out: Path) -> Packaged:
    packaged = package(
        release,
        project.section("packaging", PackagingConfig),
        out,
        cache=embedded.cache / "layers",
        sink=Loaded(load=lambda archive: load_image(embedded, archive)),
        progress=PROGRESS,
    )
    return Packaged(release=release.id, values=packaged.values_path)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> DeploymentConfig:
    """A shop of its own, which answers to its own host name."""
    values = tmp_path_factory.mktemp("values") / "own.yaml"
    # Two releases start on two cores beside the traffic: a missed deadline would say that, and nothing else.
    own = {"gateway": {"hostnames": [HOST]}, "deadlineMs": 3000}
    values.write_text(yaml.safe_dump(own), encoding="utf-8")
    return DeploymentConfig(name="voyage", namespace="tonnage-voyage", values=(values,), timeout_s=300)


@pytest.fixture(scope="module")
def deployed(cluster: ClusterAccess, voyage: Voyage, config: DeploymentConfig) -> Iterator[Deployed]:
    """The first release, installed, with the features in its Redis."""
    yield deploy(cluster, config, values=[voyage.first.values], features=voyage.features, progress=PROGRESS)
    uninstall(cluster, name=config.name, namespace=config.namespace)
    cluster.run_kubectl("delete", "namespace", config.namespace, "--wait", timeout_s=120)


@pytest.fixture
def shop(cluster: ClusterAccess, deployed: Deployed) -> Shop:
    """The installed shop, as its clients see it."""
    assert cluster.gateway_url is not None
    return Shop(gateway=cluster.gateway_url, host=HOST)
