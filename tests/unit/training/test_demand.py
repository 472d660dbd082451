"""What the trend learns from."""

from datetime import UTC, datetime

import numpy as np

from tonnage.domain import ItemId, UserId
from tonnage.features import ranking
from tonnage.training import demand
from tonnage.training.events import Events

AT = datetime(2024, 6, 1, tzinfo=UTC)


def events(*told: tuple[int, int, int]) -> Events:
    """Of (user, item, days before `AT`), earliest first."""
    user, item, days = np.array(told).T
    return Events(
        users=[UserId(f"u{each}") for each in range(3)],
        items=[ItemId(f"i{each}") for each in range(3)],
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        times=AT.timestamp() - 86_400.0 * days,
        relevant=np.ones(len(user), np.bool_),
    )


def columns(past: Events, month: list[float]) -> dict[str, list[float]]:
    statistics = np.zeros((3, len(ranking.ITEM)), np.float32)
    statistics[:, ranking.ITEM.index("trend_month")] = month
    told = demand.columns(past, statistics, at=AT, threads=1)
    return dict(zip(demand.COLUMNS, told.T.tolist(), strict=True))


def test_a_buyer_counts_once_however_often_within_a_window_that_reaches_back_whole_days() -> None:
    past = events((2, 0, 181), (1, 0, 180), (0, 0, 56), (0, 0, 3), (0, 1, 1))
    told = columns(past, [0, 0, 0])
    np.testing.assert_allclose(told["buyers_56"], np.log1p([1, 1, 0]), rtol=1e-6)
    np.testing.assert_allclose(told["buyers_180"], np.log1p([2, 1, 0]), rtol=1e-6)


def test_companions_tell_of_a_fashion_and_an_item_not_of_its_own() -> None:
    """Items of the same buyers lend their trend; of an item that nobody shared, nothing is known."""
    past = events((0, 0, 9), (0, 1, 9), (1, 0, 8), (1, 1, 8), (2, 2, 7))
    told = columns(past, [1.0, 3.0, 5.0])
    np.testing.assert_allclose(told["companions_trend"], [3.0, 1.0, np.nan])


def test_a_companion_of_which_nothing_is_known_does_not_pull_the_mean_to_zero() -> None:
    past = events((0, 0, 9), (0, 1, 9), (0, 2, 9))
    told = columns(past, [1.0, 3.0, np.nan])
    np.testing.assert_allclose(told["companions_trend"], [3.0, 1.0, 2.0])
