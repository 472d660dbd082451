"""A shop that runs the first of two releases, and a release with large indexes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.e2e.packaged import Large, Packaged, Voyage
from tests.e2e.recommender.traffic import Shop
from tests.factories.release import trained
from threadpoolctl import threadpool_limits

from tonnage.cli.project import Project
from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import Deployed, deploy
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.helm import uninstall
from tonnage.packaging.config import BENTOS
from tonnage.releases.config import IndexConfig
from tonnage.releases.release import Release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Spoken

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
