"""Interactions as arrays, cut off at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from tonnage.datasets.tables import Tables
from tonnage.domain import ItemId, Rows, UserId
from tonnage.errors import DataError
from tonnage.features.rows import DAY_S
from tonnage.features.sources import weights_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Every interaction, by position of its user and row of its item.

    Attributes:
        users: ids.
        items: ids, by row.
        user: int32 [n].
        item: int32 [n].
        times: seconds since the epoch in UTC, float64 [n], ascending.
        relevant: whether it makes the item relevant, bool [n].
    """

    users: Sequence[UserId]
    items: Sequence[ItemId]
    user: Rows
    item: Rows
    times: NDArray[np.float64]
    relevant: NDArray[np.bool_]

    @classmethod
    def of(cls, tables: Tables, relevant: Sequence[str]) -> "Events":
        """The interactions of tables.

        Raises:
            DataError: none is of a relevant kind, or one is with an item that the items table lacks.
        """
        frame = tables.interactions.sort_values("at", kind="stable")
        user, users = pd.factorize(frame["user_id"], sort=True)
        items = tables.items["item_id"].tolist()
        item = pd.Index(items).get_indexer(pd.Index(frame["item_id"]))
        if (item < 0).any():
            raise DataError(
                "interactions with items that the items table lacks",
                hint="Add them, or leave the items table out.",
                first=frame["item_id"].iloc[int(np.argmax(item < 0))],
            )
        wanted = frame["kind"].isin(relevant).to_numpy()
        if not wanted.any():
            raise DataError(
                f"no interaction is of the kind {', '.join(relevant)}",
                hint="Name the kinds that count in [training] relevant.",
                kinds=", ".join(sorted(frame["kind"].unique())[:10]),
            )
        return cls(
            users=list(users),
            items=items,
            user=user.astype(np.int32),
            item=item.astype(np.int32),
            times=seconds(frame["at"]),
            relevant=wanted,
        )

    def until(self, moment: datetime) -> "Events":
        """Those strictly before a moment."""
        return self._cut(slice(0, int(np.searchsorted(self.times, moment.timestamp(), side="left"))))

    def between(self, since: datetime, until: datetime) -> "Events":
        """Those not before `since`, and before `until`."""
        bounds = [moment.timestamp() for moment in (since, until)]
        first, last = np.searchsorted(self.times, bounds, side="left").tolist()
        return self._cut(slice(first, last))

    def weights(self, at: datetime) -> sp.csr_matrix:
        """Interaction weights as of a moment, float32 [users, items]; the same as for the user's history."""
        shape = (len(self.users), len(self.items))
        pair = self.user.astype(np.int64) * shape[1] + self.item
        days = (self.times // DAY_S).astype(np.int64)
        distinct, place = np.unique(pair, return_inverse=True)
        latest = np.full(len(distinct), -np.inf)
        np.maximum.at(latest, place, self.times)
        on_days = np.unique(np.stack([place, days]), axis=1)[0]
        orders = np.bincount(on_days, minlength=len(distinct)).astype(np.float32)
        values = weights_of(orders, at.timestamp() - latest)
        return sp.csr_matrix((values, (distinct // shape[1], distinct % shape[1])), shape=shape)

    def taken(self) -> dict[int, Rows]:
        """The distinct relevant items of each user that has any, by position of the user."""
        pairs = np.unique(np.stack([self.user[self.relevant], self.item[self.relevant]]), axis=1)
        users, starts = np.unique(pairs[0], return_index=True)
        return dict(zip(users.tolist(), np.split(pairs[1], starts[1:]), strict=True)) if len(users) else {}

    def _cut(self, part: slice) -> "Events":
        return Events(
            users=self.users,
            items=self.items,
            user=self.user[part],
            item=self.item[part],
            times=self.times[part],
            relevant=self.relevant[part],
        )


def seconds(times: "pd.Series[pd.Timestamp]") -> NDArray[np.float64]:
    """Seconds since the epoch, float64 [n]."""
    whole: NDArray[np.float64] = times.astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    return whole
