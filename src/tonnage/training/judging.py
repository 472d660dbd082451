"""Judge a ranker and the baselines on what users took after the moment that both stand on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.features import ranking
from tonnage.features.rows import UserRow
from tonnage.training import metrics, ranker
from tonnage.training.baselines import baselines
from tonnage.training.evaluation import DECIDING, ESTIMATED, SLATE, Evaluation, Score
from tonnage.training.metrics import Estimate
from tonnage.training.moment import Moment

DEPTH = 500
"""How far a list is judged."""

COLUMNS = (*ESTIMATED, "novelty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What one model shows one user.

    Attributes:
        slate: rows in the order shown.
        retrieved: rows in the order in which they became candidates.
    """

    slate: Rows
    retrieved: Rows

    def without(self, rows: Rows) -> "Lists":
        """The same lists, had these rows been excluded."""
        return Lists(
            slate=self.slate[~np.isin(self.slate, rows)],
            retrieved=self.retrieved[~np.isin(self.retrieved, rows)],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One model over some users: `COLUMNS` of each, float32 [users, columns], and the first ten shown."""

    values: Floats
    shown: Sequence[Rows]


def judge(
    moment: Moment,
    booster: xgb.Booster,
    users: Sequence[UserRow],
    taken: Sequence[Rows],
    *,
    seed: int,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Judge on what each user took after the moment.

    Args:
        moment: what the models know.
        booster: the ranker.
        users: as of the moment.
        taken: rows that each of them took afterwards, at least one.
        seed: of the bootstrap.
        notes: for the reader.
    """
    share = _share(moment)
    judged: dict[str, Judged] = {}
    discovery: dict[str, Judged] = {}
    past = [moment.catalogue.rows(user.history.items) for user in users]
    unseen = [np.setdiff1d(items, rows) for items, rows in zip(taken, past, strict=True)]
    for model, lists in _lists(moment, booster, users).items():
        judged[model] = _judged(lists, taken, share)
        without = [each.without(rows) for each, rows in zip(lists, past, strict=True)]
        discovery[model] = _judged(without, unseen, share)
    warm = np.array([bool(len(user.history)) for user in users], np.bool_)
    found_new = warm & np.array([bool(len(items)) for items in unseen], np.bool_)
    groups = [("all", np.ones_like(warm), judged), ("warm", warm, judged), ("new", ~warm, judged)]
    size = int(moment.allowed.sum())
    return Evaluation(
        scores=[
            _score(model, group, each, member, size, seed)
            for group, member, models in [*groups, ("discovery", found_new, discovery)]
            if member.any()
            for model, each in models.items()
        ],
        margins=_margins(judged, seed) if len(users) else {},
        notes=tuple(notes),
    )


def _lists(moment: Moment, booster: xgb.Booster, users: Sequence[UserRow]) -> Mapping[str, list[Lists]]:
    lists = {SLATE: list(_slates(moment, booster, users))}
    for name, recommend in baselines(moment).items():
        ranked = [recommend(user, DEPTH) for user in users]
        lists[name] = [Lists(slate=rows, retrieved=rows) for rows in ranked]
    return lists


def _slates(moment: Moment, booster: xgb.Booster, users: Sequence[UserRow]) -> Iterator[Lists]:
    for user in users:
        candidates = moment.candidates(user)
        scores = ranker.score(booster, moment.features(user, candidates))
        order = np.argsort(-scores, kind="stable")
        yield Lists(slate=candidates.rows[order], retrieved=candidates.rows)


def _judged(lists: Sequence[Lists], taken: Sequence[Rows], share: Floats) -> Judged:
    values = [
        (
            metrics.ndcg(each.slate, items, 10),
            metrics.reciprocal_rank(each.slate, items, 10),
            metrics.recall(each.retrieved, items, 100),
            metrics.recall(each.retrieved, items, 500),
            metrics.novelty(each.slate, share, 10),
        )
        for each, items in zip(lists, taken, strict=True)
    ]
    return Judged(
        values=np.array(values, np.float32).reshape(-1, len(COLUMNS)),
        shown=[each.slate[:10] for each in lists],
    )


def _score(
    model: str, group: str, judged: Judged, member: NDArray[np.bool_], catalogue: int, seed: int
) -> Score:
    values = judged.values[member]
    shown = [rows for rows, inside in zip(judged.shown, member, strict=True) if inside]
    return Score(
        model=model,
        group=group,
        users=int(member.sum()),
        estimates={name: metrics.estimate(values[:, COLUMNS.index(name)], seed=seed) for name in ESTIMATED},
        coverage=len(np.unique(np.concatenate(shown))) / max(catalogue, 1),
        novelty=float(np.nanmean(values[:, COLUMNS.index("novelty")])),
    )


def _margins(judged: Mapping[str, Judged], seed: int) -> dict[str, Estimate]:
    deciding = COLUMNS.index(DECIDING)
    own = judged[SLATE].values[:, deciding]
    return {
        name: metrics.estimate(own - each.values[:, deciding], seed=seed)
        for name, each in judged.items()
        if name != SLATE
    }


def _share(moment: Moment) -> Floats:
    buyers = moment.statistics[:, ranking.ITEM.index("buyers_all")]
    share: Floats = buyers / max(float(buyers.max(initial=0.0)), 1.0)
    return share
