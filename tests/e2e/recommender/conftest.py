"""Two real releases, packaged into the cluster, and a shop that runs the first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.e2e.recommender.packaged import Large, Packaged, Voyage
from tests.e2e.recommender.traffic import Shop
from tests.factories.release import trained
from threadpoolctl import threadpool_limits

from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.datasets.tables import read
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import Deployed, deploy
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import uninstall
from tonnage.packaging.config import BENTOS, PackagingConfig
from tonnage.packaging.pipeline import package
from tonnage.releases.config import IndexConfig
from tonnage.releases.release import Release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Spoken
from tonnage.training.config import TrainingConfig
from tonnage.training.training import train

ROOT = Path(__file__).resolve().parents[3]
HOST = "voyage.example"
"""The shop answers to its own host name only, so that another shop on the cluster may keep the rest."""

ITEMS = 60_000
"""Of the large release: their vectors take 31 MB as float32, 8 MB as int8."""

RETRIEVER_ONLY = {
    "tracks": {"stable": {"replicas": {"retriever": 1, "ranker": 0, "recommender": 0}}},
    "retriever": {"resources": {"requests": {"memory": "64Mi"}}},
    "redis": {"enabled": False},
    "onlineStore": {"url": "redis://nobody:6379/0"},
    "gateway": {"enabled": False},
    "rollout": {"minReadySeconds": 0},
}
"""A shop of which only the retriever runs; nobody answers in front of it."""

PROGRESS = Spoken()


@pytest.fixture(scope="session")
def voyage(
    packaged: Callable[[Release, Project], Packaged], tmp_path_factory: pytest.TempPathFactory
) -> Voyage:
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
        first=packaged(first, project),
        second=packaged(second, project),
        features=project.features,
        users=tuple(dict.fromkeys(users.column("user_id").to_pylist()))[:20],
        item=str(first.items.column("item_id")[0].as_py()),
    )


@pytest.fixture(scope="session")
def packaged(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Release, Project], Packaged]:
    """Package a release into the cluster; all at one place: a later one brings its model only."""
    out = tmp_path_factory.mktemp("packaging")

    def make(release: Release, project: Project) -> Packaged:
        made = package(
            release,
            project.section("packaging", PackagingConfig),
            out,
            cache=cluster_config.cache / "layers",
            sink=stages.embedded_sink(cluster_config),
            progress=PROGRESS,
        )
        return Packaged(release=release.id, values=made.values_path.rename(out / f"{release.id}.yaml"))

    return make


@pytest.fixture(scope="session")
def large(
    packaged: Callable[[Release, Project], Packaged], tmp_path_factory: pytest.TempPathFactory
) -> Large:
    """Nobody trained it: what matters is how many bytes its indexes have, and that they find the same."""
    root = tmp_path_factory.mktemp("large")
    name = "tonnage-large"
    own = root / "own.yaml"
    own.write_text(yaml.safe_dump(RETRIEVER_ONLY), encoding="utf-8")
    file = root / "tonnage.toml"
    file.write_text(
        f'[deployment]\nname = "{name}"\nnamespace = "{name}"\nvalues = ["own.yaml"]\ntimeout_s = 300\n',
        encoding="utf-8",
    )
    project = Project.open(file)
    (project.features / "rows").mkdir(parents=True)
    pq.write_table(pa.table({"user_id": ["somebody"]}), project.features / "rows" / "user_history.parquet")
    base = trained(items=ITEMS, dimensions=128)
    vectors = np.random.default_rng(7).standard_normal((ITEMS, 128), dtype=np.float32)
    result = replace(base, item_vectors=vectors, gram=(vectors.T @ vectors + np.eye(128)).astype(np.float32))
    index = IndexConfig(variants=("exact-f32", "exact-i8"))
    with threadpool_limits(1):  # each of the searches measured is too small for more
        made = write_release(result, project.releases, index=index, progress=PROGRESS)
    project.packaging.mkdir()
    values = packaged(made, project).values.rename(project.packaging / "values.yaml")
    return Large(project=file, release=made.id, values=values, own_values=own, name=name)


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> DeploymentConfig:
    """A shop of its own, which answers to its own host name."""
    values = tmp_path_factory.mktemp("values") / "own.yaml"
    # Two releases start on two cores beside the traffic: a missed deadline would say that, and nothing else.
    # Its pods stay as many as they are, so that an overload meets the same ones from beginning to end.
    own: dict[str, object] = {"gateway": {"hostnames": [HOST]}, "deadlineMs": 3000}
    own |= {bento: {"autoscaling": {"maxReplicas": 1}} for bento in BENTOS}
    values.write_text(yaml.safe_dump(own), encoding="utf-8")
    return DeploymentConfig(name="voyage", namespace="tonnage-voyage", values=(values,), timeout_s=300)


@pytest.fixture(scope="session")
def deployed(
    cluster: ClusterAccess, cluster_config: EmbeddedConfig, voyage: Voyage, config: DeploymentConfig
) -> Iterator[Deployed]:
    """The first release, installed, with the features in its Redis."""
    yield deploy(cluster, config, values=[voyage.first.values], features=voyage.features, progress=PROGRESS)
    # The README's `make down` may have taken the cluster away, and the shop with it.
    if embedded.status(cluster_config).running:
        uninstall(cluster, name=config.name, namespace=config.namespace)
        cluster.run_kubectl("delete", "namespace", config.namespace, "--wait", timeout_s=120)


@pytest.fixture
def shop(cluster: ClusterAccess, deployed: Deployed) -> Shop:
    """The installed shop, as its clients see it."""
    assert cluster.gateway_url is not None
    return Shop(gateway=cluster.gateway_url, host=HOST)
