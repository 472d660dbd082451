"""What is asked, what is answered, and the pure decisions in between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tonnage.domain import Floats, ItemId, Rows, UserId
from tonnage.serving.candidates import Pool
from tonnage.serving.catalogue import Catalogue, Filters

REASONS = 3
"""Features named per item when a slate is explained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request for a slate.

    Attributes:
        user: None for somebody without a name.
        k: items wanted.
        context: items the user is looking at now; counted as events, and not recommended back.
        exclude: items that must not come.
        exclude_seen: leave out what the user has had before.
        explain: name reasons.
    """

    request_id: str
    user: UserId | None
    k: int
    context: Sequence[ItemId] = ()
    filters: Filters = field(default_factory=Filters)
    exclude: Sequence[ItemId] = ()
    exclude_seen: bool = False
    explain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One item of a slate.

    Attributes:
        item: its id.
        title: of the item.
        score: the ranker's.
        sources: that proposed it.
        position: its place among the candidates in the order of what the sources promise; 0 is the best.
        reasons: feature names with what each adds to the score.
    """

    item: ItemId
    title: str | None
    score: float
    sources: list[str]
    position: int
    reasons: list[tuple[str, float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """The answer to one request.

    Attributes:
        items: best first.
        at: the time the features refer to, seconds since the epoch in UTC.
        fallbacks: names of what was missing, the weightiest first.
        unknown: items of the request that the release lacks.
        candidates: how many each source proposed.
        cold: nothing was known of the user.
        seconds: time of each stage.
    """

    items: Sequence[Placed]
    at: float
    fallbacks: tuple[str, ...] = ()
    unknown: Sequence[ItemId] = ()
    candidates: Mapping[str, int] = field(default_factory=dict)
    cold: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def agreement(self) -> float | None:
        """How far the slate agrees with the sources; None where there was nothing to choose.

        1 when it has the candidates that promised most, 0 when it has those that promised least.
        """
        k, n = len(self.items), self.candidates.get("all", 0)
        if not 0 < k < n:
            return None
        beyond = sum(each.position for each in self.items) - k * (k - 1) // 2
        return 1.0 - beyond / (k * (n - k))


def best(scores: Floats, k: int) -> Rows:
    """Positions of the `k` highest scores, best first; ties in order of position."""
    return np.argsort(-scores, kind="stable")[:k].astype(np.int32)


def reasons(contributions: Floats, names: Sequence[str]) -> list[list[tuple[str, float]]]:
    """The features that moved each item most, up or down, the strongest first.

    Args:
        contributions: float32 [n, len(names) + 1], the bias last.
        names: of the features, in order.
    """
    moved = contributions[:, : len(names)]
    strongest = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :REASONS]
    return [
        [(names[column], float(row[column])) for column in columns if row[column] != 0]
        for row, columns in zip(moved, strongest.tolist(), strict=True)
    ]


def place(
    pool: Pool,
    scores: Floats,
    positions: Rows,
    catalogue: Catalogue,
    because: Sequence[list[tuple[str, float]]] | None = None,
) -> list[Placed]:
    """The items of a slate.

    Args:
        pool: the candidates that competed.
        scores: of each candidate.
        positions: of the winners among the candidates, best first.
        catalogue: the items.
        because: reasons of each winner.
    """
    rows, winning = pool.candidates.rows[positions], scores[positions].tolist()
    ids, titles = catalogue.ids.ids(rows), catalogue.titles_of(rows)
    return [
        Placed(
            item=ids[place],
            title=titles[place],
            score=winning[place],
            sources=pool.sources_of(position),
            position=position,
            reasons=None if because is None else because[place],
        )
        for place, position in enumerate(positions.tolist())
    ]
