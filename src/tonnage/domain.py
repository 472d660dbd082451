"""The words that every stage shares: identifiers, tables and what a slate is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NewType

import numpy as np
from numpy.typing import NDArray

UserId = NewType("UserId", str)
ItemId = NewType("ItemId", str)
ReleaseId = NewType("ReleaseId", str)

Rows = NDArray[np.int32]
"""Item rows: positions in a release's item table and in its index, int32, shape [n]."""

Floats = NDArray[np.float32]
"""float32 of the shape its user names."""

SOURCES = ("vectors", "repeats", "co_purchase", "trend")
"""Where candidates come from, in the order of the columns of a source-score matrix."""

MAX_CANDIDATES = 500
"""How many candidates a slate is chosen from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Items that compete for one slate, each with what every source thinks of it.

    Attributes:
        rows: item rows, int32 [n], unique.
        scores: float32 [n, len(SOURCES)]; NaN where the source did not propose the item.
    """

    rows: Rows
    scores: Floats

    def sources_of(self, position: int) -> list[str]:
        """Names of the sources that proposed the candidate at `position`."""
        return [
            name for name, score in zip(SOURCES, self.scores[position], strict=True) if not np.isnan(score)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one user did up to now, one entry per distinct item, most recent last.

    Attributes:
        items: item ids.
        orders: number of orders (distinct days or baskets) that held the item, float32 [n].
        quantities: units in all, float32 [n].
        first_at: first time, seconds since the epoch in UTC, float64 [n].
        last_at: latest time, seconds since the epoch in UTC, float64 [n].
    """

    items: Sequence[ItemId] = ()
    orders: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    quantities: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    first_at: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))
    last_at: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))

    def __len__(self) -> int:
        return len(self.items)
