"""What is known at one moment, and the candidates and features that follow from it, as serving has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import numpy as np

from tonnage.domain import MAX_CANDIDATES, Candidates, Floats, ItemId, Rows, UserId
from tonnage.features import ranking, sources
from tonnage.features.rows import UserRow
from tonnage.features.store import OfflineFeatures
from tonnage.training import als, co_purchase, demand
from tonnage.training.config import TrainingConfig
from tonnage.training.events import Events


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What does not depend on the moment.

    Attributes:
        items: ids by row.
        row_of: their rows.
        categories: code of the category by row, int32; -1 for none.
        content: vectors of words by row, float32 [n_items, c].
        vocabularies: known values of each demographic column.
    """

    items: Sequence[ItemId]
    row_of: Mapping[ItemId, int]
    categories: Rows
    content: Floats
    vocabularies: Mapping[str, Sequence[str]]

    def rows(self, items: Sequence[ItemId]) -> Rows:
        """Rows of items; -1 for each that is not here."""
        return np.array([self.row_of.get(item, -1) for item in items], np.int32)


class Trend(Protocol):
    """What was learned of how wanted items are; see `trend.Trend`."""

    def scores(self, columns: Floats) -> Floats:
        """How wanted each item is, float32 [n_items]; columns: as `Moment.demand`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Sources and features fitted on what happened strictly before `at`.

    Attributes:
        at: a midnight in UTC.
        catalogue: the items.
        vectors: of items.
        neighbours: rows and weights, [n_items, m].
        statistics: columns `ranking.ITEM` of every item, float32 [n_items, n_item].
        demand: columns `demand.COLUMNS` of every item, float64 [n_items, n].
        popularity: the score of the trend for users with a history, float32 [n_items].
        recent_popularity: the same for users without.
        long_run: how wanted items ever were, float32 [n_items].
        allowed: items that may be proposed, bool [n_items].
    """

    at: datetime
    catalogue: Catalogue
    vectors: als.Vectors
    neighbours: co_purchase.Neighbours
    statistics: Floats
    demand: Floats
    popularity: Floats
    recent_popularity: Floats
    long_run: Floats
    allowed: sources.Mask

    def with_trend(self, trend: Trend | None) -> "Moment":
        """The same moment with the trend that was learned, if one was; until then, it is set by hand."""
        if trend is None:
            return self
        return replace(self, popularity=_beyond(trend.scores(self.demand), self.statistics))

    def candidates(self, user: UserRow, *, limit: int = MAX_CANDIDATES) -> Candidates:
        """Those of one user, at most `limit`."""
        at = self.at.timestamp()
        weights = sources.interaction_weights(user.history, at)
        history_rows = self.catalogue.rows(user.history.items)
        length = int((history_rows >= 0).sum())
        usual = self.popularity if length else self.recent_popularity
        repeats = sources.repeats(history_rows, weights)
        together = sources.co_purchase(*self.neighbours, history_rows, weights)
        trend = sources.trend(usual, allowed=self.allowed)
        vectors = self._vectors(history_rows, weights)
        best = [sources.best(each, self.allowed) for each in (vectors, together)]
        pool = np.concatenate([rows for rows, _ in (repeats, trend, *best)])
        found = [vectors, repeats, together, trend]
        wanted = sources.Popularity(usual=usual, long_run=self.long_run, length=length) if length else usual
        return sources.merge(found, pool=pool, popularity=wanted, limit=limit)

    def features(self, user: UserRow, candidates: Candidates, chosen: Rows | None = None) -> Floats:
        """The ranker's matrix, float32 [n, n_features].

        Args:
            user: whose candidates they are.
            candidates: of that user.
            chosen: positions among the candidates; all if None.
        """
        chosen = np.arange(len(candidates.rows), dtype=np.int32) if chosen is None else chosen
        rows, at = candidates.rows[chosen], self.at.timestamp()
        history_rows = self.catalogue.rows(user.history.items)
        return ranking.assemble(
            item=self.statistics[rows],
            user=ranking.user_features(user, vocabularies=self.catalogue.vocabularies, at=at),
            user_item=ranking.user_item_features(
                history_rows, user.history, rows, self.catalogue.categories, at=at
            ),
            sources=candidates.scores[chosen],
        )

    def _vectors(self, history_rows: Rows, weights: Floats) -> sources.Found:
        known = history_rows >= 0
        if not known.any():
            return np.empty(0, np.int32), np.empty(0, np.float32)
        taste = sources.fold_in(
            self.vectors.items,
            self.vectors.gram,
            history_rows[known],
            weights[known],
            alpha=self.vectors.alpha,
        )
        return np.arange(len(self.vectors.items), dtype=np.int32), self.vectors.items @ taste


def fit(
    events: Events,
    features: OfflineFeatures,
    catalogue: Catalogue,
    config: TrainingConfig,
    *,
    at: datetime,
    everything: bool = False,
) -> Moment:
    """Fit every source on what happened strictly before `at`.

    Args:
        events: of all time; later ones are not looked at.
        features: feature rows of all time, joined as of `at`.
        catalogue: the items.
        config: of the sources.
        at: a midnight in UTC.
        everything: propose also the items that nobody had before `at`. In the past that would be
            hindsight: that an item will exist is known from the future.
    """
    until = events.until(at)
    weights = until.weights(at)
    statistics = features.item_rows(catalogue.items, at)[[*ranking.ITEM]].to_numpy(np.float32)
    seven, fourteen, month, buyers = _buyers(statistics)
    recent = sources.recent_popularity(seven, fourteen, month)
    return Moment(
        at=at,
        catalogue=catalogue,
        vectors=als.fit(weights, catalogue.content, config),
        neighbours=co_purchase.fit(weights, catalogue.content, config),
        statistics=statistics,
        demand=demand.columns(until, statistics, at=at, threads=config.threads),
        popularity=_beyond(sources.popularity(recent, buyers), statistics),
        recent_popularity=recent,
        long_run=sources.long_run(buyers),
        allowed=np.ones(len(buyers), np.bool_) if everything else buyers > 0,
    )


def users_at(features: OfflineFeatures, users: Sequence[UserId], at: datetime) -> list[UserRow]:
    """The rows of users as of a moment, in their order."""
    rows = features.user_rows(users, at)
    return [rows.get(user) or UserRow.cold() for user in users]


def _buyers(statistics: Floats) -> Sequence[Floats]:
    """Those of the last 7, 14 and 28 days, and of all time."""
    return [statistics[:, ranking.ITEM.index(f"buyers_{window}")] for window in ("7", "14", "28", "all")]


def _beyond(scores: Floats, statistics: Floats) -> Floats:
    """The trend, where items that nobody had yet are neither wanted nor unwanted: taste decides of them."""
    had = _buyers(statistics)[-1] > 0
    middle = np.float32(np.median(scores[had])) if had.any() else np.float32(0)
    return np.where(had, scores, middle).astype(np.float32)
