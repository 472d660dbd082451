"""Candidates of one slate: what the release itself proposes, joined with what retrieval finds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tonnage.domain import SOURCES, Candidates, Floats, History, Rows
from tonnage.features import sources
from tonnage.features.sources import Found
from tonnage.releases.release import Release
from tonnage.serving.catalogue import Mask
from tonnage.serving.ports import Nearest

NOTHING: Found = (np.empty(0, np.int32), np.empty(0, np.float32))


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
        return [name for name, proposed in zip(SOURCES, self.proposed[position], strict=True) if proposed]

    def counts(self) -> dict[str, int]:
        """How many candidates there are, and how many each source proposed."""
        return {
            "all": len(self.proposed),
            **dict(zip(SOURCES, self.proposed.sum(axis=0).tolist(), strict=True)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What the release proposes for one history, before retrieval is asked.

    Attributes:
        history_rows: rows of the history that the release has, [h].
        weights: of each, [h].
        found: repeats, co-purchase and trend, in the order of `SOURCES`.
        rows: all that they propose, unique.
        popularity: the score of the trend for such a user, of every item, [n_items].
    """

    history_rows: Rows
    weights: Floats
    found: Sequence[Found]
    rows: Rows
    popularity: Floats


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """The sources of candidates that live in the recommender's process.

    Attributes:
        neighbour_rows: of the release, [n_items, m].
        neighbour_weights: of the release, [n_items, m].
        popularity: the score of the trend for users with a history, float32 [n_items].
        recent_popularity: the same for users without.
    """

    neighbour_rows: Rows
    neighbour_weights: Floats
    popularity: Floats
    recent_popularity: Floats

    @classmethod
    def of(cls, release: Release) -> "Proposals":
        """The sources of a release."""
        return cls(
            neighbour_rows=release.neighbour_rows,
            neighbour_weights=release.neighbour_weights,
            popularity=np.asarray(release.items["popularity"].to_numpy(), np.float32),
            recent_popularity=np.asarray(release.items["recent_popularity"].to_numpy(), np.float32),
        )

    def local(self, history: History, history_rows: Rows, allowed: Mask | None, *, at: float) -> Local:
        """What the release proposes for a history.

        Args:
            history: of one user.
            history_rows: row of each of its items; -1 for those that the release lacks.
            allowed: items that may be proposed; all if None.
            at: seconds since the epoch in UTC.
        """
        known = history_rows >= 0
        rows, weights = history_rows[known], sources.interaction_weights(history, at)[known]
        popularity = self.popularity if len(rows) else self.recent_popularity
        found = (
            _allowed(sources.repeats(rows, weights), allowed),
            self._co_purchase(rows, weights, allowed),
            sources.trend(popularity, allowed=allowed),
        )
        return Local(
            history_rows=rows,
            weights=weights,
            found=found,
            rows=np.unique(np.concatenate([proposed for proposed, _ in found])),
            popularity=popularity,
        )

    def pool(self, local: Local, nearest: Nearest | None) -> Pool:
        """The candidates, with what retrieval found if it answered."""
        vectors = NOTHING if nearest is None else _scored(nearest, local.rows)
        candidates = sources.merge([vectors, *local.found], popularity=local.popularity)
        proposals = [
            NOTHING[0] if nearest is None else nearest.rows,
            *(rows for rows, _ in local.found),
        ]
        proposed = [np.isin(candidates.rows, rows) for rows in proposals]
        return Pool(candidates=candidates, proposed=np.column_stack(proposed))

    def like(self, rows: Rows, nearest: Nearest | None, allowed: Mask | None) -> tuple[Pool, Floats]:
        """Candidates like some items, and how alike: by vectors, or by co-purchase if retrieval is away."""
        if nearest is None:
            name, found = "co_purchase", self._co_purchase(rows, np.ones(len(rows), np.float32), allowed)
        else:
            name, found = "vectors", (nearest.rows, nearest.scores)
        scores = np.full((len(found[0]), len(SOURCES)), np.nan, np.float32)
        scores[:, SOURCES.index(name)] = found[1]
        candidates = Candidates(rows=found[0], scores=scores)
        return Pool(candidates=candidates, proposed=~np.isnan(scores)), found[1]

    def _co_purchase(self, rows: Rows, weights: Floats, allowed: Mask | None) -> Found:
        return sources.co_purchase(
            self.neighbour_rows, self.neighbour_weights, rows, weights, allowed=allowed
        )


def _allowed(found: Found, allowed: Mask | None) -> Found:
    if allowed is None:
        return found
    rows, scores = found
    passing = allowed[rows]
    return rows[passing], scores[passing]


def _scored(nearest: Nearest, asked: Rows) -> Found:
    """What retrieval thinks of everything it was asked for and found, each row once."""
    others = ~np.isin(asked, nearest.rows)
    return (
        np.concatenate([nearest.rows, asked[others]]),
        np.concatenate([nearest.scores, nearest.asked_scores[others]]),
    )
