"""Three real bentos as processes of this machine, over a small real release and a real feature store."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from tests.factories.release import UNTIL, VOCABULARIES, release

from tonnage.features import ranking
from tonnage.features.config import FeaturesConfig
from tonnage.features.store import build, materialize
from tonnage.releases.release import Release
from tonnage.serving.local import LocalService, free_port, one_service, wait_until_ready
from tonnage.telemetry import Silent

BENTOS = Path(__file__).parents[3] / "bentos"
KNOWN = "customer-1"
KNOWN_ITEMS = ("10000", "10003", "10006", "10009")


@dataclass(frozen=True)
class Shop:
    """A release, and the online store of its users."""

    release: Release
    other: Release
    online_store: str


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Shop:
    """Two releases over the same items, and one user with a history in the feature store."""
    root = tmp_path_factory.mktemp("shop")
    about = {"items": 600, "names": ranking.names(VOCABULARIES), "vocabularies": VOCABULARIES}
    releases = [release(root / "releases", seed=seed, **about) for seed in (7, 8)]
    online = f"sqlite:///{root / 'online.db'}"
    write_history(root / "data")
    build(root / "data", root / "features", FeaturesConfig(), progress=Silent())
    materialize(root / "features", online, progress=Silent())
    return Shop(release=releases[0], other=releases[1], online_store=online)


@dataclass(frozen=True)
class Served:
    """One model, at both of its doors."""

    service: LocalService
    grpc_port: int

    @property
    def address(self) -> str:
        """Host and port of HTTP."""
        return f"127.0.0.1:{self.service.port}"

    @property
    def grpc_address(self) -> str:
        """Host and port of gRPC."""
        return f"127.0.0.1:{self.grpc_port}"


@dataclass(frozen=True)
class Models:
    """Retriever and ranker of one release."""

    release: Release
    retriever: Served
    ranker: Served


@contextmanager
def serving(name, release, work_dir, **settings):
    """One model by `bentoml serve`, HTTP and gRPC."""
    port, grpc_port = free_port(), free_port()
    work_dir.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "TONNAGE_RELEASE_DIR": str(release.directory),
        "TONNAGE_GRPC_PORT": str(grpc_port),
        "BENTOML_DO_NOT_TRACK": "true",
        **settings,
    }
    with one_service(name, port, BENTOS / name, work_dir, environment) as service:
        wait_until_ready([service])
        yield Served(service, grpc_port)


@pytest.fixture(scope="session")
def models(shop, tmp_path_factory):
    """Retriever and ranker, ready, without a recommender."""
    work = tmp_path_factory.mktemp("models")
    with (
        serving("retriever", shop.release, work) as retriever,
        serving("ranker", shop.release, work) as ranker,
    ):
        yield Models(shop.release, retriever, ranker)


def write_history(directory: Path) -> None:
    """A user who bought four things, a day apart."""
    directory.mkdir()
    events = [
        {
            "event_id": f"history-{place}",
            "user_id": KNOWN,
            "item_id": item,
            "kind": "purchase",
            "at": pd.Timestamp(UNTIL) - timedelta(days=10 - place),
            "quantity": 2.0,
            "price": 3.5,
        }
        for place, item in enumerate(KNOWN_ITEMS)
    ]
    interactions = pd.DataFrame(events).astype({"at": "datetime64[us, UTC]"})
    interactions.to_parquet(directory / "interactions.parquet")
    pd.DataFrame({"user_id": [KNOWN], "country": ["France"]}).to_parquet(directory / "users.parquet")
