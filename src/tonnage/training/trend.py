"""What makes an item wanted beyond a user's own taste, learned from what people took in the past."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tonnage.domain import MAX_CANDIDATES, SOURCES, Floats, Rows
from tonnage.features import sources
from tonnage.features.rows import UserRow
from tonnage.training.moment import Moment

LESSONS = 3
"""At most so many moments, the latest, teach the trend: it has few numbers to learn."""

MISSED = 50
"""Of each user's pool, so many items that were not taken, drawn evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A linear score of items, in the units of `sources.promise`.

    Attributes:
        weights: of `demand.COLUMNS`, float64 [n].
        usual: of each column, for an item of which it is not known, float64 [n].
    """

    weights: Floats
    usual: Floats

    def scores(self, columns: Floats) -> Floats:
        """How wanted each item is, float32 [n_items]; columns: `demand.COLUMNS`, [n_items, n]."""
        filled = np.where(np.isnan(columns), self.usual, columns)
        return (filled @ self.weights).astype(np.float32)


Sample = tuple[Floats, Floats, Floats, int]
"""Of one user's pool: taste and item columns of some items, [n, 1 + columns]; taken; weight; its size."""


def sample(
    moment: Moment, users: Sequence[UserRow], taken: Sequence[Rows], random: np.random.Generator
) -> Iterator[Sample]:
    """What each user with a past took and left of the whole pool; every user counts the same."""
    for user, items in zip(users, taken, strict=True):
        pool = moment.candidates(user, limit=len(moment.demand))
        hit = np.isin(pool.rows, items)
        missed = np.flatnonzero(~hit)
        if not len(user.history) or not hit.any() or not len(missed):
            continue
        drawn = random.choice(missed, min(MISSED, len(missed)), replace=False)
        chosen = np.concatenate([np.flatnonzero(hit), drawn])
        scores = pool.scores[chosen].copy()
        # What is left of the trend is how this user leans, which is not to be learned.
        scores[:, SOURCES.index("trend")] -= moment.popularity[pool.rows[chosen]]
        weight = np.where(hit[chosen], 1.0 / len(items), 1.0 / len(drawn))
        told = np.column_stack([sources.promise(scores), moment.demand[pool.rows[chosen]]])
        yield told, hit[chosen].astype(np.float32), weight, len(pool.rows)


def fit(samples: Sequence[Sample], *, limit: int = MAX_CANDIDATES) -> Trend | None:
    """Learn by logistic regression beside the users' taste; None if nothing can be learned or gained.

    Args:
        samples: of users at several moments.
        limit: how many of a pool become candidates.
    """
    kept = limit / float(np.mean([size for *_, size in samples])) if samples else 1.0
    if kept >= 1.0:  # Nothing is cut off, so nobody depends on the trend.
        return None
    told, taken, weight = (np.concatenate([each[part] for each in samples]) for part in range(3))
    known = ~np.isnan(told)
    usual = np.where(known, told, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    scaler = StandardScaler()
    scaled = scaler.fit_transform(np.where(known, told, usual))
    model = LogisticRegression(max_iter=300).fit(scaled, taken, sample_weight=weight)
    # Once more, with an eye for what is near the cut: elsewhere it does not matter who comes first.
    scores = model.decision_function(scaled)
    cut = np.quantile(scores[taken == 0], 1.0 - kept)
    model.fit(scaled, taken, sample_weight=weight * np.exp(-np.square(scores - cut) / 2.0))
    effect = model.coef_[0] / scaler.scale_
    return Trend(weights=effect[1:] / effect[0], usual=usual[1:]) if effect[0] > 0 else None
