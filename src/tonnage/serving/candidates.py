"""Candidates of one slate: what the release itself proposes, joined with what retrieval finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from tonnage.domain import SOURCES, Candidates, Floats, History, Rows
from tonnage.features import sources
from tonnage.features.sources import PROPOSED, Found, Popularity
from tonnage.releases.release import Release
from tonnage.serving.catalogue import NO_ROWS, Allowed, Mask
from tonnage.serving.ports import Nearest

NOTHING: Found = (NO_ROWS, np.empty(0, np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Candidates, and who proposed each: a source may also score what only others proposed.

    Attributes:
        candidates: rows and scores.
        proposed: bool [n, len(SOURCES)].
    """

    candidates: Candidates
    proposed: Mask

    def sources_of(self, position: int) -> list[str]:
        """Names of the sources that proposed the candidate at `position`."""
        return list(compress(SOURCES, self.proposed[position].tolist()))

    def counts(self) -> dict[str, int]:
        """How many candidates there are, and how many each source proposed."""
        return {
            "all": len(self.proposed),
            **dict(zip(SOURCES, self.proposed.sum(axis=0).tolist(), strict=True)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What sells now, sorted once: a million items are too many for each request to look at.

    Attributes:
        popularity: of every item, float32 [n_items].
        order: every item, the most wanted first, int32 [n_items].
        best: what the trend proposes where everything may come.
    """

    popularity: Floats
    order: Rows
    best: Found

    @classmethod
    def of(cls, popularity: Floats) -> "Trend":
        """The trend by a score of every item."""
        order = np.argsort(-popularity, kind="stable").astype(np.int32)
        return cls(popularity=popularity, order=order, best=sources.trend(popularity))

    def proposed(self, allowed: Allowed | None) -> Found:
        """The best `PROPOSED` that may come."""
        if allowed is None:
            return self.best
        rows = self._first(allowed)
        return rows, self.popularity[rows]

    def _first(self, allowed: Allowed) -> Rows:
        end = PROPOSED + len(allowed.barred)
        rows = self.order[:end]
        rows = rows[allowed[rows]]
        while len(rows) < PROPOSED and end < len(self.order):
            more = self.order[end : 8 * end]
            end += len(more)
            rows = np.concatenate([rows, more[allowed[more]]])
        return rows[:PROPOSED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What the release proposes for one history, before retrieval is asked.

    Attributes:
        history_rows: rows of the history that the release has, [h].
        weights: of each, [h].
        found: by repeats, co-purchase and trend, in the order of `SOURCES`.
        proposed: rows that each of them proposes; co-purchase knows more.
        rows: all that they propose, each once.
        popularity: the score of the trend for such a user, of every item.
    """

    history_rows: Rows
    weights: Floats
    found: Sequence[Found]
    proposed: Sequence[Rows]
    rows: Rows
    popularity: Floats | Popularity


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The sources of candidates that live in the recommender's process.

    Attributes:
        neighbour_rows: of the release, [n_items, m].
        neighbour_weights: of the release, [n_items, m].
        trend: for users with a history.
        recent_trend: for users without.
        long_run: how wanted items ever were, float32 [n_items].
    """

    neighbour_rows: Rows
    neighbour_weights: Floats
    trend: Trend
    recent_trend: Trend
    long_run: Floats

    @classmethod
    def of(cls, release: Release) -> "Proposals":
        """The sources of a release."""
        return cls(
            # The files stay mapped; a plain view of them is indexed in half of memmap's time.
            neighbour_rows=np.asarray(release.neighbour_rows),
            neighbour_weights=np.asarray(release.neighbour_weights),
            trend=Trend.of(_column(release, "popularity")),
            recent_trend=Trend.of(_column(release, "recent_popularity")),
            long_run=sources.long_run(_column(release, "item_buyers_all")),
        )

    def local(self, history: History, history_rows: Rows, allowed: Allowed | None, *, at: float) -> Local:
        """What the release proposes for a history.

        Args:
            history: of one user.
            history_rows: row of each of its items; -1 for those that the release lacks.
            allowed: items that may be proposed; all if None.
            at: seconds since the epoch in UTC.
        """
        known = history_rows >= 0
        rows, weights = history_rows[known], sources.interaction_weights(history, at)[known]
        trend = self.trend if len(rows) else self.recent_trend
        repeats = _allowed(sources.repeats(rows, weights), allowed)
        together = self._co_purchase(rows, weights)
        wanted = trend.proposed(allowed)
        proposed = (repeats[0], sources.best(together, allowed)[0], wanted[0])
        return Local(
            history_rows=rows,
            weights=weights,
            found=(repeats, together, wanted),
            proposed=proposed,
            rows=sources.distinct(np.concatenate(proposed)),
            popularity=self._popularity(len(rows)),
        )

    def pool(self, local: Local, nearest: Nearest | None) -> Pool:
        """The candidates, with what retrieval found if it answered."""
        vectors = NOTHING if nearest is None else _scored(nearest, local.rows)
        by_vectors = NOTHING[0] if nearest is None else nearest.rows
        candidates = sources.merge(
            [vectors, *local.found],
            pool=np.concatenate([by_vectors, local.rows]),
            popularity=local.popularity,
        )
        proposed = _who_proposed(candidates.rows, [by_vectors, *local.proposed])
        return Pool(candidates=candidates, proposed=proposed)

    def like(self, rows: Rows, nearest: Nearest | None, allowed: Allowed | None) -> tuple[Pool, Floats]:
        """Candidates like some items, and how alike: by vectors, or by co-purchase if retrieval is away."""
        if nearest is None:
            together = self._co_purchase(rows, np.ones(len(rows), np.float32))
            name, found = "co_purchase", sources.best(together, allowed)
        else:
            name, found = "vectors", (nearest.rows, nearest.scores)
        scores = np.full((len(found[0]), len(SOURCES)), np.nan, np.float32)
        scores[:, SOURCES.index(name)] = found[1]
        candidates = Candidates(rows=found[0], scores=scores)
        return Pool(candidates=candidates, proposed=~np.isnan(scores)), found[1]

    def _popularity(self, length: int) -> Floats | Popularity:
        if not length:
            return self.recent_trend.popularity
        return Popularity(usual=self.trend.popularity, long_run=self.long_run, length=length)

    def _co_purchase(self, rows: Rows, weights: Floats) -> Found:
        return sources.co_purchase(self.neighbour_rows, self.neighbour_weights, rows, weights)


def _column(release: Release, name: str) -> Floats:
    return np.asarray(release.items[name].to_numpy(), np.float32)


def _allowed(found: Found, allowed: Allowed | None) -> Found:
    if allowed is None:
        return found
    rows, scores = found
    passing = allowed[rows]
    return rows[passing], scores[passing]


def _scored(nearest: Nearest, asked: Rows) -> Found:
    """What retrieval thinks of everything it was asked for and found; of a row that is both, found counts."""
    return (
        np.concatenate([asked, nearest.rows]),
        np.concatenate([nearest.asked_scores, nearest.scores]),
    )


def _who_proposed(rows: Rows, proposals: Sequence[Rows]) -> Mask:
    """Which source proposed each of the rows, bool [n, len(proposals)]."""
    size = max(int(each.max(initial=-1)) for each in (rows, *proposals)) + 1
    # One bit a source, and nobody reads those of another row, so only these are cleared.
    bits_of = np.empty(size, np.uint8)
    bits_of[rows] = 0
    bits = np.left_shift(1, np.arange(len(proposals))).astype(np.uint8)
    for bit, theirs in zip(bits, proposals, strict=True):
        bits_of[theirs] |= bit
    proposed: Mask = (bits_of[rows, None] & bits) != 0
    return proposed
