"""A small shop whose features are built once, and a real Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.factories import shop
from tests.factories.redis import redis_server

from tonnage.features.config import FeaturesConfig
from tonnage.features.store import build
from tonnage.telemetry import Silent


@pytest.fixture(scope="session", name="built")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The features of the whole shop."""
    directory = tmp_path_factory.mktemp("shop")
    data = shop.write(shop.interactions(), directory / "data")
    build(data, directory / "features", FeaturesConfig(), progress=Silent())
    return directory / "features"


@pytest.fixture(scope="session", name="redis")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis without the database number."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(name="online", params=["sqlite", "redis"])
def _online(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty online store, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/online.db"
    from redis import Redis

    url = f"{request.getfixturevalue('redis')}/0"
    with Redis.from_url(url) as client:
        client.flushdb()
    return url
