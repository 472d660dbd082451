"""The ranker's features and the sources' arithmetic."""

from collections.abc import Sequence

import numpy as np
import pytest

from tonnage.domain import MAX_CANDIDATES, SOURCES, Floats, History, ItemId, Rows
from tonnage.features import ranking, sources
from tonnage.features.item_stats import ITEM_COLUMNS
from tonnage.features.rows import DAY_S, VALUES, UserRow

NOW = 1_320_796_800.0
VOCABULARIES = {"country": ["France", "Germany"]}
NOTHING = (np.empty(0, np.int32), np.empty(0, np.float32))


def rows(*values: int) -> Rows:
    return np.array(values, np.int32)


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def history(first: Sequence[float], last: Sequence[float], orders: Sequence[float]) -> History:
    """Items with their first and last times in days before now."""
    return History(
        items=[ItemId(str(number)) for number in range(len(orders))],
        orders=floats(*orders),
        quantities=floats(*orders) * 2,
        first_at=NOW - np.array(first) * DAY_S,
        last_at=NOW - np.array(last) * DAY_S,
    )


def had(features: Floats, name: str) -> Floats:
    return features[:, ranking.USER_ITEM.index(name)]


def test_every_item_column_is_one_that_item_stats_defines() -> None:
    assert set(ranking.ITEM) <= set(ITEM_COLUMNS)


def test_the_matrix_has_the_columns_that_the_names_say() -> None:
    names = ranking.names(VOCABULARIES)
    user = ranking.user_features(UserRow.cold(), vocabularies=VOCABULARIES, at=NOW)
    assert len(user) == len(names.user)
    matrix = ranking.assemble(
        item=np.zeros((3, len(names.item)), np.float32),
        user=user,
        user_item=np.zeros((3, len(names.user_item)), np.float32),
        sources=np.zeros((3, len(names.sources)), np.float32),
    )
    assert matrix.shape == (3, len(names.all))
    assert matrix.dtype == np.float32
    assert len(set(names.all)) == len(names.all)


def test_another_vocabulary_is_another_fingerprint() -> None:
    """A service that computes other columns must refuse the release."""
    assert ranking.names(VOCABULARIES).fingerprint() != ranking.names({}).fingerprint()


def test_user_item_features_of_an_item_had_three_times() -> None:
    past = history(first=[90, 40], last=[30, 10], orders=[3, 1])
    features = ranking.user_item_features(rows(7, 4), past, rows(4, 5, 7), np.full(9, -1, np.int32), at=NOW)
    assert had(features, "orders").tolist() == pytest.approx([1, np.nan, 3], nan_ok=True)
    assert had(features, "idle_days").tolist() == pytest.approx([10, np.nan, 30], nan_ok=True)
    assert had(features, "interval_days").tolist() == pytest.approx([np.nan, np.nan, 30], nan_ok=True)
    assert had(features, "overdue").tolist() == pytest.approx([np.nan, np.nan, 1], nan_ok=True)
    assert had(features, "newer_items").tolist() == pytest.approx([0, np.nan, 0.5], nan_ok=True)


def test_the_share_of_a_category_counts_items_the_user_did_not_have() -> None:
    past = history(first=[9, 8], last=[5, 4], orders=[3, 1])
    categories = rows(0, 0, 1, -1)
    features = ranking.user_item_features(rows(0, 2), past, rows(1, 2, 3), categories, at=NOW)
    assert had(features, "category_share").tolist() == pytest.approx([0.75, 0.25, np.nan], nan_ok=True)


def test_features_of_a_candidate_do_not_depend_on_the_others() -> None:
    """Else an explanation of ten items would explain other scores than those of the slate."""
    past = history(first=[90, 40, 20], last=[30, 10, 20], orders=[3, 1, 1])
    categories = rows(0, 1, 0, 1, 0, 1)
    all_rows = rows(5, 0, 3, 2, 1)
    whole = ranking.user_item_features(rows(0, -1, 3), past, all_rows, categories, at=NOW)
    for place, row in enumerate(all_rows):
        alone = ranking.user_item_features(rows(0, -1, 3), past, rows(int(row)), categories, at=NOW)
        np.testing.assert_array_equal(alone[0], whole[place])


def test_user_features_read_aggregates_and_demographics() -> None:
    values = {**VALUES, "orders": 3.0, "events": 6.0, "first_at": NOW - 40 * DAY_S, "last_at": NOW - DAY_S}
    user = UserRow(history=History(), values=values, demographics={"country": "Germany"})
    features = dict(
        zip(
            ranking.names(VOCABULARIES).user,
            ranking.user_features(user, vocabularies=VOCABULARIES, at=NOW).tolist(),
            strict=True,
        )
    )
    assert features["user_basket"] == pytest.approx(np.log(3))
    assert features["user_interval_days"] == pytest.approx(19.5)
    assert (features["user_country=France"], features["user_country=Germany"]) == (0, 1)
    assert np.isnan(features["user_log_price"])


def test_an_interaction_weighs_more_when_repeated_and_less_when_old() -> None:
    weights = sources.interaction_weights(history([9, 9, 400], [5, 5, 380], [1, 4, 1]), NOW)
    assert weights[1] == pytest.approx(2 * weights[0])
    assert weights[2] < weights[0] / 5


def test_co_purchase_adds_up_over_the_history_and_skips_missing_neighbours() -> None:
    neighbours, strengths = np.array([[1, 2], [2, -1], [0, 1]], np.int32), np.ones((3, 2), np.float32)
    found, scores = sources.co_purchase(neighbours, strengths, rows(0, 1, -1), floats(1.0, 0.5, 9.0))
    assert dict(zip(found.tolist(), scores.tolist(), strict=True)) == {1: 1.0, 2: 1.5}


def test_merging_keeps_repeats_and_never_more_than_the_limit() -> None:
    everything = np.arange(3000, dtype=np.int32)
    popularity = np.linspace(1, 0, 3000).astype(np.float32)
    repeats = (rows(2999, 2998), floats(0.1, 0.1))
    found = [NOTHING, repeats, NOTHING, sources.trend(popularity)]
    candidates = sources.merge(found, popularity=popularity)
    assert len(candidates.rows) == MAX_CANDIDATES
    assert set(candidates.rows[:2].tolist()) == {2998, 2999}
    assert len(np.unique(candidates.rows)) == len(candidates.rows)
    assert set(candidates.rows.tolist()) <= set(everything.tolist())


def test_merging_without_a_source_leaves_its_scores_empty() -> None:
    """When the retriever is away, the slate must still come from the rest."""
    candidates = sources.merge([NOTHING, NOTHING, (rows(4, 9), floats(1, 3)), NOTHING])
    assert candidates.rows.tolist() == [9, 4]
    assert np.isnan(candidates.scores[:, SOURCES.index("vectors")]).all()


def test_merging_nothing_gives_nothing() -> None:
    assert len(sources.merge([NOTHING] * len(SOURCES)).rows) == 0


def test_a_filter_still_gets_a_full_list_from_the_trend() -> None:
    popularity = np.linspace(1, 0, 3000).astype(np.float32)
    allowed = np.arange(3000) >= 2000
    found, _ = sources.trend(popularity, allowed=allowed)
    assert len(found) == sources.PROPOSED
    assert found.min() >= 2000
