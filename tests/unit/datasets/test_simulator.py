"""The simulated shop is the same every time, and what users do follows from what they like."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.simulator import Simulator
from tonnage.datasets.tables import Tables
from tonnage.domain import ItemId, UserId
from tonnage.errors import NotFoundError

CONFIG = SimulatorConfig(users=300, items=200, days=60, sessions_per_user=20)


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(CONFIG)


@pytest.fixture(scope="module")
def tables(simulator: Simulator) -> Tables:
    return simulator.tables().tables


def test_the_same_seed_is_the_same_shop(tables: Tables):
    again = Simulator(CONFIG).tables().tables
    for name in ("interactions", "items", "users"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name))


def test_another_seed_is_another_shop(tables: Tables):
    other = Simulator(CONFIG.model_copy(update={"seed": 8})).tables().tables
    assert not other.interactions.equals(tables.interactions)


def test_more_users_do_not_change_the_items(tables: Tables):
    """So that load tests can grow one side and keep the other."""
    more = Simulator(CONFIG.model_copy(update={"users": 301})).shop
    pd.testing.assert_frame_equal(more.items, tables.items)


def test_nobody_sees_an_item_before_it_appears(simulator: Simulator, tables: Tables):
    first = tables.interactions.groupby("item_id")["at"].min()
    appears = dict(zip(simulator.shop.items["item_id"], simulator.shop.appears, strict=True))
    late = {item: day for item, day in appears.items() if day > 0 and item in first.index}
    assert late
    assert all(first[item] >= simulator.start + timedelta(days=float(day)) for item, day in late.items())


def test_an_item_that_has_not_appeared_is_never_clicked(simulator: Simulator):
    newest = int(simulator.shop.appears.argmax())
    item, user = ItemId(f"i{newest:07d}"), UserId("u0000000")
    assert simulator.click_probabilities(user, [item], simulator.start) == [0.0]
    assert simulator.click_probabilities(user, [item], simulator.start + timedelta(days=61))[0] > 0


def test_people_click_as_often_as_the_simulator_says_they_do():
    """The answer to "what would this user click" is what a recommender will be judged by."""
    config = SimulatorConfig(users=1, items=30, days=40, sessions_per_user=4000, slate=5, categories=2)
    simulator = Simulator(config)
    views = simulator.tables().tables.interactions.query("kind == 'view'")
    at = simulator.start + timedelta(days=20)
    items = simulator.shop.items["item_id"].tolist()
    likely = simulator.click_probabilities(UserId("u0000000"), items, at)
    shown = np.exp(simulator.shop.log_popularity(20.0))
    expected = pd.Series(likely * shown / (likely * shown).sum(), index=items)
    seen = views["item_id"].value_counts(normalize=True).reindex(items, fill_value=0)
    assert np.corrcoef(expected, seen)[0, 1] > 0.9


def test_titles_tell_the_category_and_demographics_tell_the_taste(simulator: Simulator, tables: Tables):
    """Otherwise content and demographic features could not help, and nobody would notice them broken."""
    last_word = tables.items["title"].str.split().str[-1]
    usual = tables.items.groupby(last_word)["category"].transform(lambda names: names.mode()[0])
    assert (usual == tables.items["category"]).mean() > 0.9
    events = tables.interactions.merge(tables.items, on="item_id").merge(tables.users, on="user_id")
    shares = pd.crosstab(events["age_band"], events["category"], normalize="index")
    assert shares.std().max() > 0.03


def test_people_come_back_for_what_they_bought(tables: Tables):
    bought = tables.interactions.query("kind == 'purchase'")
    assert bought.duplicated(["user_id", "item_id"]).mean() > 0.2


@pytest.mark.parametrize(
    ("user", "item"),
    [("u9999999", "i0000001"), ("u0000001", "i9999999"), ("i0000001", "i0000001"), ("?", "i1")],
)
def test_whoever_the_shop_does_not_know_is_named(simulator: Simulator, user: str, item: str):
    with pytest.raises(NotFoundError, match="no '"):
        simulator.click_probabilities(UserId(user), [ItemId(item)], simulator.start)


def test_a_large_catalogue_has_unique_items():
    items = Simulator(SimulatorConfig(items=200_000, users=1)).shop.items
    assert items["item_id"].is_unique
    assert items["price"].gt(0).all()
