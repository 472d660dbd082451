"""A simulated shop whose tastes are known, trained on once for the whole tier."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tonnage.datasets import tables as stored
from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.simulator import Simulator
from tonnage.datasets.tables import Tables
from tonnage.features.config import FeaturesConfig
from tonnage.features.store import OfflineFeatures, build
from tonnage.telemetry import Silent
from tonnage.training import moment
from tonnage.training.config import TrainingConfig
from tonnage.training.events import Events
from tonnage.training.moment import Moment
from tonnage.training.split import split
from tonnage.training.trained import Trained
from tonnage.training.training import catalogue, train

SHOP = SimulatorConfig(seed=3, users=250, items=120, days=90, sessions_per_user=10)
# Sizes for 250 users: the defaults are for thousands, and would flatten the tastes of so few.
CONFIG = TrainingConfig(
    judge_days=14,
    lessons=2,
    factors=8,
    regularization=5.0,
    alpha=3.0,
    neighbours=30,
    content_factors=8,
    trees=30,
    depth=4,
    threads=2,
)


@dataclass(frozen=True)
class Shop:
    """The shop's tables and features, and what training made of them."""

    tables: Tables
    features: Path
    trained: Trained


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    directory = tmp_path_factory.mktemp("shop")
    loaded = Simulator(SHOP).tables()
    stored.write(loaded, directory / "data")
    build(directory / "data", directory / "features", FeaturesConfig(), progress=Silent())
    trained = train(loaded.tables, directory / "features", CONFIG, progress=Silent(), replay=True)
    return Shop(tables=loaded.tables, features=directory / "features", trained=trained)


@pytest.fixture(scope="session")
def present(shop: Shop) -> Moment:
    """What is known when judgement begins."""
    times = shop.tables.interactions["at"]
    when = split(times.min().to_pydatetime(), times.max().to_pydatetime(), CONFIG)
    return moment.fit(
        Events.of(shop.tables, CONFIG.relevant),
        OfflineFeatures(shop.features),
        catalogue(shop.tables, CONFIG),
        CONFIG,
        at=when.judge_from.astimezone(UTC),
    )


@pytest.fixture(scope="session")
def at(present: Moment) -> datetime:
    return present.at
