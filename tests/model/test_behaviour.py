"""What a trained recommender must and must not do, whatever its scores: on a simulated shop."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from tests.model.conftest import CONFIG, Shop

from tonnage.domain import Candidates, ItemId, Rows, UserId
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.features.store import OfflineFeatures
from tonnage.telemetry import Silent
from tonnage.training import moment, ranker
from tonnage.training.events import Events
from tonnage.training.moment import Moment
from tonnage.training.training import train


@pytest.fixture(scope="module")
def booster(shop: Shop) -> xgb.Booster:
    return xgb.Booster(model_file=bytearray(shop.trained.ranker))


@pytest.fixture(scope="module")
def users(shop: Shop, present: Moment) -> list[UserRow]:
    """Thirty users as they were when judgement began."""
    ids = [UserId(each) for each in shop.tables.users["user_id"][:30]]
    return moment.users_at(OfflineFeatures(shop.features), ids, present.at)


def slate(present: Moment, booster: xgb.Booster, user: UserRow, candidates: Candidates | None = None) -> Rows:
    candidates = candidates or present.candidates(user)
    scores = ranker.score(booster, present.features(user, candidates))
    return candidates.rows[np.lexsort([candidates.rows, -scores])]


def bought(user: UserRow, item: ItemId, at: datetime, *, times: int) -> UserRow:
    """The user, had the item been bought on each of the last days."""
    events = [
        SessionEvent(
            event_id=f"e{day}",
            user_id=UserId("u"),
            item_id=item,
            kind="purchase",
            at=at.timestamp() - 86_400 * (times - day) + 60,
        )
        for day in range(times)
    ]
    return with_session(user, events)


def test_the_release_beats_every_baseline_on_a_shop_with_tastes(shop: Shop) -> None:
    assert shop.trained.evaluation.accepted, shop.trained.evaluation.reasons


def test_shuffled_candidates_come_out_in_the_same_order(
    present: Moment, booster: xgb.Booster, users: list[UserRow]
) -> None:
    random = np.random.default_rng(1)
    for user in users[:5]:
        candidates = present.candidates(user)
        mixed = random.permutation(len(candidates.rows))
        shuffled = Candidates(rows=candidates.rows[mixed], scores=candidates.scores[mixed])
        np.testing.assert_array_equal(slate(present, booster, user), slate(present, booster, user, shuffled))


def test_the_words_of_an_item_id_change_nothing(
    present: Moment, booster: xgb.Booster, users: list[UserRow]
) -> None:
    """An unknown item in the history must be passed over, not shift the others."""
    user = next(each for each in users if len(each.history) > 3)
    past = user.history
    stranger = replace(
        past,
        items=[ItemId("not sold here"), *past.items],
        orders=np.concatenate([past.orders[:1], past.orders]),
        quantities=np.concatenate([past.quantities[:1], past.quantities]),
        first_at=np.concatenate([past.first_at[:1], past.first_at]),
        last_at=np.concatenate([past.last_at[:1], past.last_at]),
    )
    expected = present.candidates(user)
    found = present.candidates(replace(user, history=stranger))
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_buying_an_item_again_and_again_raises_it(
    present: Moment, booster: xgb.Booster, users: list[UserRow]
) -> None:
    """Directional: over many users, since a ranker may have its reasons for one."""
    gains = []
    for user in users:
        item_row = int(slate(present, booster, user)[len(present.catalogue.items) // 3])
        item = present.catalogue.items[item_row]
        before, after = (
            int(np.flatnonzero(slate(present, booster, each) == item_row)[0])
            for each in (user, bought(user, item, present.at, times=4))
        )
        gains.append(before - after)
    assert np.mean(gains) > 5


def test_nobody_in_particular_gets_a_full_slate(present: Moment, booster: xgb.Booster) -> None:
    ranked = slate(present, booster, UserRow.cold())
    assert len(ranked) >= 10
    assert len(np.unique(ranked)) == len(ranked)


def test_one_click_is_enough_to_ask_the_vectors(present: Moment) -> None:
    user = bought(
        UserRow.cold(), present.catalogue.items[int(np.flatnonzero(present.allowed)[0])], present.at, times=1
    )
    assert not np.isnan(present.candidates(user).scores[:, 0]).all()


def test_nothing_after_a_moment_changes_what_is_known_at_it(shop: Shop, present: Moment) -> None:
    """A leak of the future would make every figure of the evaluation a lie."""
    events = Events.of(shop.tables, CONFIG.relevant)
    shown = events.until(present.at)
    past = moment.fit(shown, OfflineFeatures(shop.features), present.catalogue, CONFIG, at=present.at)
    np.testing.assert_array_equal(past.vectors.items, present.vectors.items)
    np.testing.assert_array_equal(past.neighbours[0], present.neighbours[0])
    assert shown.times.max() < present.at.timestamp()


def test_training_weights_are_those_of_the_history_that_serving_reads(
    shop: Shop, present: Moment, users: list[UserRow]
) -> None:
    """The sources are fitted on one computation of orders and ages, and asked with another."""
    from tonnage.features.sources import interaction_weights

    events = Events.of(shop.tables, CONFIG.relevant)
    weights = events.until(present.at).weights(present.at)
    for place, user in enumerate(users[:10]):
        row = weights[events.users.index(UserId(shop.tables.users["user_id"][place]))]
        told = interaction_weights(user.history, present.at.timestamp())
        rows = present.catalogue.rows(user.history.items)
        order = np.argsort(rows)
        np.testing.assert_array_equal(row.indices[np.argsort(row.indices)], rows[order])
        np.testing.assert_allclose(row.data[np.argsort(row.indices)], told[order], rtol=1e-5)


def test_the_same_seed_trains_the_same_release(shop: Shop) -> None:
    again = train(shop.tables, shop.features, CONFIG, progress=Silent(), replay=True)
    assert again.ranker == shop.trained.ranker
    # As pandas frames: Arrow takes NaN for unequal to itself.
    pd.testing.assert_frame_equal(again.items.to_pandas(), shop.trained.items.to_pandas())
    np.testing.assert_array_equal(again.item_vectors, shop.trained.item_vectors)
    assert again.evaluation.as_dict() == shop.trained.evaluation.as_dict()
