"""A shop that nobody runs: items in clusters, with popularity and vectors, and the baskets of its users.

What makes retrieval hard is there: a spectrum that falls as that of factorised tastes does, and lengths that
grow with popularity. The same shape gives the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tonnage.domain import Floats, Rows
from tonnage.features import ranking, sources

UNTIL = datetime(2026, 6, 30, 20, tzinfo=UTC)
DAYS = 28
"""Days that the baskets cover."""

VOCABULARIES = {"country": ["France", "Germany", "United Kingdom"]}
CATEGORIES = 40
NEAR = 10.0
"""How much likelier a cluster is liked for one more of the cosine between it and a taste, as a logarithm."""

CHUNK = 100_000

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What to simulate.

    Attributes:
        items: rows of the item table.
        dimensions: of the item vectors.
        neighbours: kept per item.
        users: that have a history.
        seed: of everything drawn at random.
        variants: of the index; empty for all that make sense for the size.
    """

    items: int = 1_000_000
    dimensions: int = 128
    neighbours: int = 16
    users: int = 4_000
    seed: int = 20
    variants: tuple[str, ...] = ()


class Simulated:
    """Items with clusters, popularity and vectors. Items of a cluster follow each other in `order`."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.random = np.random.default_rng(shape.seed)
        n = shape.items
        clusters = max(8, n // 1000)
        self.cluster = self.random.choice(clusters, n, p=self.random.dirichlet(np.full(clusters, 5.0)))
        self.order = np.argsort(self.cluster, kind="stable")
        self.starts = np.searchsorted(self.cluster[self.order], np.arange(clusters + 1))
        wanted = (self.random.permutation(n) + 50.0) ** -0.8
        self.weights = wanted / wanted.sum()
        self.buyers = self.random.poisson(self.weights * 20 * n).astype(np.float32)
        self.vectors = self._vectors(clusters)

    def _vectors(self, clusters: int) -> Floats:
        """float32 [n_items, d]; about 18 of 128 dimensions hold most of the variance."""
        shape, random = self.shape, self.random
        spectrum = (1 + np.arange(shape.dimensions, dtype=np.float32)) ** -0.5
        turn = np.linalg.qr(random.normal(size=(shape.dimensions, shape.dimensions)))[0].astype(np.float32)
        centres = random.standard_normal((clusters, shape.dimensions), np.float32)
        turned = (centres * spectrum) @ turn
        self.directions = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        vectors = np.empty((shape.items, shape.dimensions), np.float32)
        for start in range(0, shape.items, CHUNK):
            own = self.cluster[start : start + CHUNK]
            noise = random.standard_normal((len(own), shape.dimensions), np.float32)
            straight = (0.75 * centres[own] + 0.66 * noise) * spectrum
            vectors[start : start + CHUNK] = straight @ turn
        popular = np.log1p(self.buyers) / np.log1p(self.buyers.max())
        lengths = (0.2 + 0.8 * popular) * random.lognormal(0.0, 0.15, shape.items)
        scale = (lengths / np.linalg.norm(vectors, axis=1)).astype(np.float32)
        vectors *= scale[:, None]
        return vectors

    def neighbours(self) -> tuple[Rows, Floats]:
        """Others of the same cluster, with falling weights; -1 where there are fewer."""
        n, m = self.shape.items, self.shape.neighbours
        place = np.empty(n, np.int64)
        place[self.order] = np.arange(n)
        first = self.starts[self.cluster]
        size = self.starts[self.cluster + 1] - first
        rows = np.full((n, m), -1, np.int32)
        for column in range(m):
            # Steps that grow with the item's place: neighbours of neighbours are others.
            step = 1 + column * (1 + place % 7)
            there = step < size
            rows[there, column] = self.order[(first + (place - first + step) % size)[there]]
        weights = np.exp(-np.arange(m) / 8.0) * self.random.uniform(0.5, 1.0, (n, 1))
        return rows, np.where(rows >= 0, weights, 0.0).astype(np.float32)

    def baskets(self) -> list[Rows]:
        """The distinct items of each user: of a few clusters, the popular ones more often.

        The clusters lie near each other, but for one: what people have together is what a factorisation puts
        together.
        """
        bounds = np.concatenate([[0.0], np.cumsum(self.weights[self.order])])
        baskets = []
        for _ in range(self.shape.users):
            count = int(np.clip(self.random.lognormal(np.log(40), 0.8), 5, 400))
            liked = self._liked()
            which = liked[self.random.choice(5, count, p=[0.4, 0.25, 0.15, 0.1, 0.1])]
            low, high = bounds[self.starts[which]], bounds[self.starts[which + 1]]
            drawn = np.searchsorted(bounds, self.random.uniform(low, high), side="right") - 1
            baskets.append(np.unique(self.order[drawn.clip(0, self.shape.items - 1)]).astype(np.int32))
        return baskets

    def _liked(self) -> Numbers:
        """Five clusters of one user: four near a taste, by how near, and any other."""
        clusters = len(self.directions)
        taste = self.directions[self.random.integers(clusters)]
        nearness = np.exp(NEAR * (self.directions @ taste).astype(np.float64))
        near = self.random.choice(clusters, 4, p=nearness / nearness.sum())
        return np.append(near, self.random.integers(clusters))


def item_table(simulated: Simulated, prices: Numbers) -> pa.Table:
    """The item table of a release, with what `training.trained.Trained.items` asks for."""
    n, random, buyers = simulated.shape.items, simulated.random, simulated.buyers
    recent = {
        days: random.binomial(buyers.astype(int), days / 365).astype(np.float32) for days in (7, 14, 28)
    }
    age = random.uniform(30, 400, n).astype(np.float32)
    now = sources.recent_popularity(recent[7], recent[14], recent[28])
    known: dict[str, Numbers] = {
        "item_buyers_7": recent[7],
        "item_buyers_14": recent[14],
        "item_buyers_28": recent[28],
        "item_buyers_90": np.minimum(3 * recent[28], buyers),
        "item_buyers_all": buyers,
        "item_log_price": np.log1p(prices),
        "item_age_days": age,
        "item_idle_days": random.uniform(0, 1, n) * age,
    }
    categories = [f"category {code}" for code in range(CATEGORIES)]
    columns: dict[str, Any] = {
        "item_id": pa.array([_item_id(row) for row in range(n)]),
        "title": pa.array([f"Thing {row} of family {own}" for row, own in enumerate(simulated.cluster)]),
        "category": pa.array(np.array(categories, object)[simulated.cluster % CATEGORIES]),
        "price": pa.array(prices),
        "popularity": pa.array(sources.popularity(now, buyers)),
        "recent_popularity": pa.array(now),
        "first_seen": pa.array(_micros(age), pa.timestamp("us", "UTC")),
    }
    for name in ranking.names(VOCABULARIES).item:
        values = known[name] if name in known else random.normal(size=n)
        columns[name] = pa.array(values.astype(np.float32))
    return pa.table(columns)


def _micros(age_days: Numbers) -> Numbers:
    """Microseconds since the epoch, int64, so many days before the end."""
    return (UNTIL.timestamp() * 1e6 - age_days * 86_400e6).astype(np.int64)


def _item_id(row: int) -> str:
    return f"i{row:07d}"


def user_table(simulated: Simulated) -> pd.DataFrame:
    """The users, as the table of that name in `tonnage.datasets`."""
    count = simulated.shape.users
    countries = simulated.random.choice(VOCABULARIES["country"], count)
    return pd.DataFrame({"user_id": [f"u{user:06d}" for user in range(count)], "country": countries})


def interaction_table(simulated: Simulated, baskets: Sequence[Rows], prices: Numbers) -> pd.DataFrame:
    """One purchase of each item of each basket, as the table of that name in `tonnage.datasets`."""
    random = simulated.random
    users = np.repeat(np.arange(len(baskets)), [len(basket) for basket in baskets])
    items = np.concatenate(baskets)
    # A handful of days per user, so that histories are few rows in the feature store.
    days = (users * 7 + random.integers(0, 5, len(users)) * 5) % DAYS
    seconds = days * 86_400.0 + random.uniform(0, 60_000, len(users))
    at = pd.Timestamp(UNTIL) - pd.to_timedelta(seconds.round(3), unit="s")
    events = pd.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(len(users))],
            "user_id": [f"u{user:06d}" for user in users],
            "item_id": [_item_id(row) for row in items],
            "kind": "purchase",
            "at": at.astype("datetime64[us, UTC]"),
            "quantity": 1.0 + random.geometric(0.6, len(users)) // 2,
            "price": prices[items],
        }
    )
    return events.sort_values("at", kind="stable", ignore_index=True)
