"""A shop whose customers' true tastes are known, so that a recommender can be asked how right it is."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.report import Account
from tonnage.datasets.shop import Array, Shop, build, rows_of
from tonnage.datasets.tables import INTERACTIONS, TIME, Loaded, Tables
from tonnage.domain import Floats, ItemId, UserId
from tonnage.errors import DataError, NotFoundError

MEMORY = 20
"""How many of their purchases people come back for."""

FROM_MEMORY = 0.25
"""Share of what a visitor looks at that he bought before."""

BUYS = 0.35
"""Share of the clicks that end in a purchase."""

DAY_S = 86_400


class Simulator:
    """Users who look at popular things and at what they bought before, and click on what they like.

    The same configuration gives the same tables.
    """

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config or SimulatorConfig()

    @cached_property
    def shop(self) -> Shop:
        """Items and users with everything that a recommender has to guess."""
        return build(self.config)

    @property
    def start(self) -> datetime:
        """Midnight, UTC, that days count from."""
        return datetime.fromisoformat(self.config.start).replace(tzinfo=UTC)

    def click_probabilities(self, user_id: UserId, item_ids: Sequence[ItemId], at: datetime) -> Floats:
        """How likely the user clicks on each item, shown to him at that time; float32 [n].

        An item that has not appeared by then has probability 0.

        Raises:
            NotFoundError: the simulated shop has no such user or item.
        """
        user = rows_of("u", [user_id], self.config.users)
        items = rows_of("i", item_ids, self.config.items)
        if (user < 0).any() or (items < 0).any():
            unknown = [user_id, *np.array(item_ids, dtype=object)[items < 0]][0 if user[0] < 0 else 1]
            raise NotFoundError(f"the simulated shop has no {unknown!r}")
        days = (at - self.start) / timedelta(days=1)
        return self._clicks(np.repeat(user, len(items)), items, np.full(len(items), days))

    def tables(self, *, replay: bool = True) -> Loaded:
        """What the shop would have in its database after all these days.

        Raises:
            DataError: nobody did anything; the configuration is too small.
        """
        days = list(self._days())
        if not days:
            raise DataError("no simulated user did anything", hint="Raise users, days or sessions_per_user.")
        events = pd.concat(days, ignore_index=True).sort_values(
            ["at", "session"], kind="stable", ignore_index=True
        )
        position = events.groupby("session").cumcount() + 1
        events["event_id"] = "s" + events["session"].astype(str) + "-" + position.astype(str)
        tables = Tables(interactions=events[[*INTERACTIONS]], items=self.shop.items, users=self.shop.users)
        origin = f"simulated shop, seed {self.config.seed}"
        return Loaded.of(
            tables, Account(), source="simulator", origin=origin, rows_read=len(events), replay=replay
        )

    def _clicks(self, users: Array, items: Array, days: Array) -> Floats:
        shop = self.shop
        liking = np.einsum("nd,nd->n", shop.tastes[users], shop.qualities[items])
        fashion = shop.log_popularity(days, items)
        dear = np.abs(shop.log_price[items] - shop.budget[users])
        with np.errstate(over="ignore"):
            odds = np.exp(-(1.3 * liking + 0.3 * fashion - 0.8 * dear - 2.8))
        probabilities: Floats = (1 / (1 + odds)).astype(np.float32)
        return probabilities

    def _days(self) -> Iterator[pd.DataFrame]:
        random = np.random.default_rng([self.config.seed, 3])
        memory = np.full((self.config.users, MEMORY), -1)
        visits = self.config.users * self.config.sessions_per_user / self.config.days
        sessions = 0
        for day in range(self.config.days):
            weights = np.where(self.shop.joins <= day, self.shop.activity, 0)
            share = weights.sum()
            count = random.poisson(visits * share)
            if count:
                users = random.choice(len(weights), count, p=weights / share)
                yield self._one_day(random, day, users, np.arange(count) + sessions, memory)
                sessions += count

    def _one_day(
        self, random: np.random.Generator, day: int, users: Array, sessions: Array, memory: Array
    ) -> pd.DataFrame:
        slates = self._slates(random, day, users, memory)
        width = slates.shape[1]
        shown = pd.DataFrame(
            {
                "session": np.repeat(sessions, width),
                "user": np.repeat(users, width),
                "item": slates.ravel(),
                # People look at one thing every 20 seconds, at a time of day that they choose for a visit.
                "seconds": (
                    (day + np.repeat(random.beta(4, 3, len(users)) * 0.98, width)) * DAY_S
                    + np.tile(np.arange(width) * 20, len(users))
                ),
            }
        ).drop_duplicates(["session", "item"])
        liked = self._clicks(
            shown["user"].to_numpy(), shown["item"].to_numpy(), shown["seconds"].to_numpy() / DAY_S
        )
        views = shown[random.random(len(shown)) < liked]
        purchases = views[random.random(len(views)) < BUYS]
        memory[purchases["user"], random.integers(0, MEMORY, len(purchases))] = purchases["item"]
        quantity = 1.0 + random.geometric(0.6, len(purchases)) // 2
        return pd.concat(
            [
                self._events(views.assign(kind="view", quantity=1.0)),
                self._events(
                    purchases.assign(kind="purchase", quantity=quantity, seconds=purchases["seconds"] + 10)
                ),
            ],
            ignore_index=True,
        )

    def _slates(self, random: np.random.Generator, day: int, users: Array, memory: Array) -> Array:
        """What each visitor looks at, int64 [n_visits, slate]: popular things, and some bought before."""
        cumulative = np.cumsum(np.exp(self.shop.log_popularity(float(day))), dtype=np.float64)
        draws = random.random((len(users), self.config.slate)) * cumulative[-1]
        slates = np.searchsorted(cumulative, draws, side="right").clip(max=len(cumulative) - 1)
        remembered = memory[users[:, None], random.integers(0, MEMORY, slates.shape)]
        again = (random.random(slates.shape) < FROM_MEMORY) & (remembered >= 0)
        chosen: Array = np.where(again, remembered, slates)
        return chosen

    def _events(self, rows: pd.DataFrame) -> pd.DataFrame:
        items, users = rows["item"].to_numpy(), rows["user"].to_numpy()
        moments = pd.Timestamp(self.start).value // 1_000 + (rows["seconds"].to_numpy() * 1e6).astype(
            np.int64
        )
        return pd.DataFrame(
            {
                "session": rows["session"].to_numpy(),
                "user_id": self.shop.users["user_id"].to_numpy()[users],
                "item_id": self.shop.items["item_id"].to_numpy()[items],
                "kind": rows["kind"].to_numpy(),
                "at": pd.Series(moments).astype("datetime64[us]").dt.tz_localize("UTC").astype(TIME),
                "quantity": rows["quantity"].to_numpy(),
                "price": self.shop.items["price"].to_numpy()[items],
            }
        )
