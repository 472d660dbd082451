"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from tonnage.domain import Rows
from tonnage.training import metrics
from tonnage.training.evaluation import ESTIMATED, SLATE, Evaluation, Score
from tonnage.training.metrics import Estimate


def rows(*values: int) -> Rows:
    return np.array(values, np.int32)


def test_ndcg_of_two_hits_at_places_one_and_three_of_three_relevant() -> None:
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert metrics.ndcg(rows(5, 1, 6), rows(5, 6, 7), 10) == pytest.approx((1 + 1 / 2) / ideal)


def test_a_perfect_list_of_ten_is_perfect_even_if_more_is_relevant() -> None:
    """Dividing by all relevant items would punish users who take more than a slate can hold."""
    assert metrics.ndcg(np.arange(10, dtype=np.int32), np.arange(40, dtype=np.int32), 10) == pytest.approx(1)


def test_recall_counts_items_that_nobody_could_have_proposed() -> None:
    """Leaving out relevant items that are not in the catalogue would flatter retrieval."""
    assert metrics.recall(rows(1, 2), rows(1, 99), 500) == 0.5


def test_reciprocal_rank_is_of_the_first_hit() -> None:
    assert metrics.reciprocal_rank(rows(4, 3, 2), rows(2, 3), 10) == 0.5
    assert metrics.reciprocal_rank(rows(4, 3, 2), rows(9), 10) == 0


def test_an_interval_holds_its_mean_and_narrows_with_more_users() -> None:
    few = np.random.default_rng(1).random(30).astype(np.float32)
    many = np.tile(few, 100)
    wide, narrow = metrics.estimate(few, seed=1), metrics.estimate(many, seed=1)
    assert wide.low < wide.mean < wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 5


def margin(mean: float) -> Estimate:
    return Estimate(mean=mean, low=mean - 0.01, high=mean + 0.01)


def test_one_baseline_that_wins_rejects_the_release() -> None:
    evaluation = Evaluation(scores=[], margins={"popularity": margin(0.2), "own repeats": margin(-0.001)})
    assert not evaluation.accepted
    assert "does not beat own repeats" in evaluation.reasons[1]


def test_a_tie_is_not_a_win() -> None:
    assert not Evaluation(scores=[], margins={"popularity": margin(0.0)}).accepted


def test_nobody_to_judge_by_is_never_accepted() -> None:
    """`all()` of nothing is true: an empty judgement would pass."""
    evaluation = Evaluation(scores=[], margins={})
    assert not evaluation.accepted
    assert evaluation.reasons


def test_an_evaluation_survives_json() -> None:
    estimates = {name: margin(0.3) for name in ESTIMATED}
    score = Score(model=SLATE, group="warm", users=7, estimates=estimates, coverage=0.5, novelty=2.0)
    evaluation = Evaluation(scores=[score], margins={"popularity": margin(0.1)}, notes=("so it is",))
    assert Evaluation.from_dict(evaluation.as_dict()).as_dict() == evaluation.as_dict()
    assert evaluation.table().row_count == 1
