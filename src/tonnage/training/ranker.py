"""The ranker: XGBoost that learns from what people took in the past to order the candidates of then."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xgboost as xgb

from tonnage.domain import Floats, Rows
from tonnage.errors import DataError
from tonnage.features.rows import UserRow
from tonnage.training.config import TrainingConfig
from tonnage.training.moment import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Candidates of many users, with what they took.

    Attributes:
        features: float32 [n, n_features].
        taken: 1 where the user took the candidate, float32 [n].
        sizes: number of rows of each user, in order.
    """

    features: Floats
    taken: Floats
    sizes: Rows


def lesson(
    moment: Moment,
    users: Sequence[UserRow],
    taken: Sequence[Rows],
    *,
    negatives: int,
    random: np.random.Generator,
) -> Lesson | None:
    """What there is to learn at one moment, None if nobody took a candidate.

    Args:
        moment: when.
        users: as they were then.
        taken: rows of the items that each of them took afterwards.
        negatives: candidates not taken, per user.
        random: draws them.
    """
    learned = list(_learn(moment, users, taken, negatives, random))
    if not learned:
        return None
    return Lesson(
        features=np.concatenate([features for features, _ in learned]),
        taken=np.concatenate([labels for _, labels in learned]),
        sizes=np.array([len(labels) for _, labels in learned], np.int32),
    )


def _learn(
    moment: Moment,
    users: Sequence[UserRow],
    taken: Sequence[Rows],
    negatives: int,
    random: np.random.Generator,
) -> Iterator[tuple[Floats, Floats]]:
    for user, items in zip(users, taken, strict=True):
        candidates = moment.candidates(user)
        hit = np.isin(candidates.rows, items)
        missed = np.flatnonzero(~hit)
        if not hit.any() or not len(missed):
            continue
        # Drawn evenly. Taking the most promising ones would teach that promise is a bad sign, as the hits
        # are kept wherever they stand.
        drawn = random.choice(missed, min(negatives, len(missed)), replace=False)
        chosen = np.concatenate([np.flatnonzero(hit), np.sort(drawn)]).astype(np.int32)
        yield moment.features(user, candidates, chosen), hit[chosen].astype(np.float32)


def fit(lessons: Sequence[Lesson], names: Sequence[str], config: TrainingConfig) -> xgb.Booster:
    """Learn from lessons.

    Args:
        lessons: of several moments.
        names: of the features, in order.
        config: trees, depth, learning_rate, seed, threads.

    Raises:
        DataError: there is no lesson.
    """
    if not lessons:
        raise DataError(
            "nobody took anything that could have been foreseen",
            hint="The ranker needs users that come back within judge_days; see [training].",
        )
    matrix = xgb.QuantileDMatrix(
        np.concatenate([each.features for each in lessons]),
        np.concatenate([each.taken for each in lessons]),
        group=np.concatenate([each.sizes for each in lessons]),
        feature_names=[_printable(name) for name in names],
        nthread=config.threads,
    )
    return xgb.train(_parameters(config), matrix, config.trees)


def score(booster: xgb.Booster, features: Floats) -> Floats:
    """Scores, float32 [n]; only their order means something."""
    scores: Floats = booster.inplace_predict(features, validate_features=False)
    return scores


def _parameters(config: TrainingConfig) -> Mapping[str, object]:
    return {
        "objective": "rank:ndcg",
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": 10,
        "tree_method": "hist",
        "max_depth": config.depth,
        "learning_rate": config.learning_rate,
        "min_child_weight": 10,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "seed": config.seed,
        "nthread": config.threads or 0,
    }


def _printable(name: str) -> str:
    """A feature's name as XGBoost takes it: without the characters of its own dump format."""
    return name.translate(str.maketrans("[]<", "()("))
