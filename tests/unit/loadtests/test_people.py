"""How people behave in a shop."""

import itertools
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from people import Arrive, Buy, Kind, Known, Look, Manners, Popular, Similar, Slate, Step, filters, life
from shoppers import known_shop
from tonnage.serving.schemas import FiltersBody

SEEDS = st.integers(0, 2**32)
COUNTS = {f"u{number}": 1000 // (number + 1) for number in range(50)}
SHOP = Known(Popular.counted(COUNTS), Popular.counted({"lamps": 3, "toys": 1}), [0.5, 1.0, 2.5, 9.0, 20.0], 5)
NO_DATA = Known()


def steps(kind: Kind, seed: int, count: int = 300, known: Known = SHOP) -> list[Step]:
    return list(itertools.islice(life(kind, random.Random(seed), Manners(), known), count))


@given(st.sampled_from(list(Kind)), SEEDS)
def test_the_same_seed_is_the_same_life(kind: Kind, seed: int):
    """Two runs are compared as pairs; they have to ask the same."""
    assert steps(kind, seed, 60) == steps(kind, seed, 60)


def test_another_seed_is_another_life():
    assert steps(Kind.RETURNING, 1) != steps(Kind.RETURNING, 2)


@given(st.sampled_from(list(Kind)), SEEDS)
def test_nobody_looks_at_a_slate_before_there_is_one(kind: Kind, seed: int):
    before: object = None
    for step in steps(kind, seed, 80):
        if isinstance(step.act, Slate):
            assert before is not None
        if isinstance(step.act, Similar | Buy):
            assert isinstance(before, Look | Similar)
        before = step.act


def test_people_think_between_what_they_do():
    manners = Manners(think_s=2.0)
    lived = list(itertools.islice(life(Kind.COLD, random.Random(3), manners, SHOP), 5000))
    rests = [step.then_s for step in lived if not isinstance(step.act, Arrive)]
    assert np.mean(rests) == pytest.approx(2.0, rel=0.1)
    assert all(step.then_s == 0 for step in lived if isinstance(step.act, Arrive))


def test_a_share_of_the_slates_is_filtered():
    lived = [step.act for step in steps(Kind.NEW, 5, 20_000)]
    slates = [act for act in lived if isinstance(act, Slate)]
    assert np.mean([bool(slate.filters) for slate in slates]) == pytest.approx(0.15, abs=0.02)
    kinds = Counter(type(act) for act in lived)
    assert kinds[Look] > kinds[Similar] > kinds[Buy] > 0


def test_those_return_who_have_bought_often():
    users = Counter(
        act.user for act in (step.act for step in steps(Kind.RETURNING, 7, 60_000)) if isinstance(act, Arrive)
    )
    drawn, total = sum(users.values()), sum(COUNTS.values())
    for user in ("u0", "u1", "u9"):
        assert users[user] / drawn == pytest.approx(COUNTS[user] / total, rel=0.25)


@pytest.mark.parametrize("kind", [Kind.NEW, Kind.COLD])
def test_who_is_new_or_unknown_has_no_history(kind: Kind):
    assert {step.act.user for step in steps(kind, 9) if isinstance(step.act, Arrive)} == {""}


def test_without_data_nobody_returns_and_nothing_is_filtered():
    lived = [step.act for step in steps(Kind.RETURNING, 11, known=NO_DATA)]
    assert all(act.user == "" for act in lived if isinstance(act, Arrive))
    assert not any(act.filters for act in lived if isinstance(act, Slate))


@given(SEEDS)
def test_every_filter_is_one_that_the_api_takes(seed: int):
    found = filters(random.Random(seed), SHOP)
    FiltersBody.model_validate(found)
    assert found


@given(st.floats(0.5, 2.0), st.integers(2, 300), SEEDS)
def test_zipfs_law_by_rank(exponent: float, users: int, seed: int):
    popular = Popular.zipf([f"u{number}" for number in range(users)], exponent, seed)
    weights = np.diff([0.0, *popular.up_to])
    assert popular.up_to[-1] == pytest.approx(1.0)
    assert weights[0] / weights[users - 1] == pytest.approx(users**exponent, rel=1e-6)
    assert sorted(popular.ids) == sorted(f"u{number}" for number in range(users))


@given(SEEDS)
def test_zipfs_draws_follow_it(seed: int):
    popular = Popular.zipf([f"u{number}" for number in range(20)], 1.0, seed)
    chance = random.Random(seed)
    drawn = Counter(popular.draw(chance) for _ in range(4000))
    assert drawn[popular.ids[0]] / 4000 == pytest.approx(popular.up_to[0], abs=0.04)


def test_a_project_says_who_returns_and_what_there_is(tmp_path: Path):
    data = tmp_path / "build" / "data"
    data.mkdir(parents=True)
    pd.DataFrame({"user_id": ["a", "b", "a", "a"]}).to_parquet(data / "interactions.parquet")
    items = pd.DataFrame({"item_id": ["x", "y"], "category": ["toys", None], "price": [3.0, None]})
    items.to_parquet(data / "items.parquet")
    known = known_shop(tmp_path, zipf=0.0, seed=1)
    assert known.users is not None
    assert (known.users.ids, known.users.up_to) == (["a", "b"], [0.75, 1.0])
    assert known.categories is not None
    assert (known.categories.ids, known.prices, known.items) == (["toys"], [3.0], 2)


def test_a_shop_without_categories_is_filtered_by_price(tmp_path: Path):
    """Online Retail has none: the column is there, of no type at all."""
    data = tmp_path / "build" / "data"
    data.mkdir(parents=True)
    pd.DataFrame({"user_id": ["a"]}).to_parquet(data / "interactions.parquet")
    items = pd.DataFrame({"item_id": ["x", "y"], "category": [None, None], "price": [3.0, 4.0]})
    items.to_parquet(data / "items.parquet")
    known = known_shop(tmp_path, zipf=1.0, seed=1)
    assert known.categories is None
    assert set(filters(random.Random(1), known)) == {"price_min", "price_max"}
