"""Whether learning who becomes a candidate is worth it: on days that nothing was learned from."""

from datetime import timedelta

import numpy as np
import pytest
from tests.model.conftest import CONFIG, Shop

from tonnage.domain import Rows
from tonnage.features.rows import UserRow
from tonnage.features.store import OfflineFeatures
from tonnage.training import moment, trend
from tonnage.training.events import Events
from tonnage.training.moment import Moment

HORIZON = timedelta(days=14)

LIMIT = 30
"""The shop has fewer items than a slate has candidates: to cut some off, it must be cut earlier."""


def pupils(shop: Shop, at: Moment) -> tuple[list[UserRow], list[Rows]]:
    """Users with a past who took something after the moment, and what they took."""
    events = Events.of(shop.tables, CONFIG.relevant)
    taken = events.between(at.at, at.at + HORIZON).taken()
    users = moment.users_at(OfflineFeatures(shop.features), [events.users[each] for each in taken], at.at)
    both = [(user, rows) for user, rows in zip(users, taken.values(), strict=True) if len(user.history)]
    return [user for user, _ in both], [rows for _, rows in both]


@pytest.fixture(scope="module")
def learned(shop: Shop, present: Moment) -> trend.Trend:
    random = np.random.default_rng(1)
    samples = []
    for weeks in (2, 4):
        then = moment.fit(
            Events.of(shop.tables, CONFIG.relevant),
            OfflineFeatures(shop.features),
            present.catalogue,
            CONFIG,
            at=present.at - timedelta(weeks=weeks),
        )
        samples += trend.sample(then, *pupils(shop, then), random)
    found = trend.fit(samples, limit=LIMIT)
    assert found is not None
    return found


def recall(at: Moment, users: list[UserRow], taken: list[Rows]) -> float:
    kept = [
        np.isin(rows, at.candidates(user, limit=LIMIT).rows).mean()
        for user, rows in zip(users, taken, strict=True)
    ]
    return float(np.mean(kept))


def test_a_learned_cut_keeps_at_least_as_much_of_what_is_taken_as_one_by_hand(
    shop: Shop, present: Moment, learned: trend.Trend
) -> None:
    users, taken = pupils(shop, present)
    by_hand = recall(present, users, taken)
    by_chance = LIMIT / int(present.allowed.sum())
    assert by_hand > by_chance
    assert recall(present.with_trend(learned), users, taken) >= by_hand


def test_a_trend_changes_who_comes_first_and_nothing_else(present: Moment, learned: trend.Trend) -> None:
    """Its scores must be in the units of the other sources, or it drowns them or is drowned."""
    told = present.with_trend(learned)
    assert 0.1 < np.std(told.popularity) / np.std(present.popularity) < 10
    assert told.recent_popularity is present.recent_popularity
    assert present.with_trend(None) is present
