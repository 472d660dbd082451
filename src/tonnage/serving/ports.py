"""What the recommender needs from its neighbours, in its own words."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tonnage.domain import Floats, History, Rows, UserId
from tonnage.errors import DependencyError
from tonnage.features.rows import UserRow
from tonnage.serving.catalogue import Allowed
from tonnage.serving.protocol.tensors import Array


class LateError(DependencyError):
    """A neighbour did not answer in the time it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What goes along with every call: the request it is for, and how long it may take."""

    request_id: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What retrieval found.

    Attributes:
        rows: the best rows, best first.
        scores: float32, theirs.
        asked_scores: float32, of the rows that were asked for; NaN where retrieval has no opinion.
    """

    rows: Rows
    scores: Floats
    asked_scores: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """What the ranker scores.

    Attributes:
        rows: candidates, int32 [n].
        sources: float32 [n, len(SOURCES)].
        user: float32 [n_user].
        history_rows: int32, row of each item of the history; -1 for items that the release lacks.
        history: the user's.
        at: seconds since the epoch in UTC.
    """

    rows: Rows
    sources: Floats
    user: Floats
    history_rows: Rows
    history: History
    at: float

    def tensors(self) -> dict[str, Array]:
        """The inputs of the ranker's protocol."""
        return {
            "rows": self.rows,
            "sources": self.sources,
            "user": self.user,
            "history_rows": self.history_rows,
            "history_orders": self.history.orders,
            "history_quantities": self.history.quantities,
            "history_first_at": self.history.first_at,
            "history_last_at": self.history.last_at,
            "at": np.array([self.at]),
        }


class Users(Protocol):
    """What is known of a user this moment: the feature store's row and the session on top."""

    async def read(self, user: UserId, call: Call) -> UserRow:
        """The user's row; a cold one for a user nobody knows.

        Raises:
            LateError: no answer in time.
            DependencyError: the store does not answer.
        """
        ...


class Retrieval(Protocol):
    """Nearest items, from all items of the release."""

    async def nearest(
        self,
        call: Call,
        *,
        history_rows: Rows,
        weights: Floats,
        k: int,
        score_rows: Rows,
        allowed: Allowed | None,
    ) -> Nearest:
        """The `k` allowed items nearest to a history, and the scores of `score_rows`.

        Raises:
            LateError: no answer in time.
            DependencyError: no service of the same release answers.
        """
        ...

    async def similar(self, call: Call, *, rows: Rows, k: int, allowed: Allowed | None) -> Nearest:
        """The `k` allowed items most similar to some items.

        Raises:
            LateError: no answer in time.
            DependencyError: no service of the same release answers.
        """
        ...


class Ranking(Protocol):
    """Scores of candidates."""

    async def score(self, call: Call, shortlist: Shortlist) -> Floats:
        """A score for each row, float32 [n].

        Raises:
            LateError: no answer in time.
            DependencyError: no service of the same release answers.
        """
        ...

    async def explain(self, call: Call, shortlist: Shortlist) -> Floats:
        """What each feature adds to each row's score, float32 [n, n_features + 1], the bias last.

        Raises:
            LateError: no answer in time.
            DependencyError: no service of the same release answers.
        """
        ...
