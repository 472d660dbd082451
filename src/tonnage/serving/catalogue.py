"""The item table of a release as a recommender needs it: by row, by id, and by what a filter asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tonnage.domain import Floats, ItemId, Rows
from tonnage.releases.release import Release

Mask = NDArray[np.bool_]
"""One truth per item row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What every item of a slate must be; None asks for nothing.

    An item without a category or price does not pass a filter on it.
    """

    category: str | None = None
    price_min: float | None = None
    price_max: float | None = None

    def __bool__(self) -> bool:
        return any(each is not None for each in (self.category, self.price_min, self.price_max))


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items by row.

    Attributes:
        ids: item ids.
        titles: what people read; None where there is none.
        row_of: item id to row.
        categories: code of each item's category, int32 [n]; -1 for none.
        category_code: category to code.
        prices: float32 [n]; NaN for none.
    """

    ids: Sequence[ItemId]
    titles: Sequence[str | None]
    row_of: Mapping[ItemId, int]
    categories: Rows
    category_code: Mapping[str, int]
    prices: Floats

    @classmethod
    def of(cls, release: Release) -> "Catalogue":
        """The items of a release."""
        codes, names = category_codes(release.items)
        return cls(
            ids=release.items["item_id"].to_pylist(),
            titles=release.items["title"].to_pylist(),
            row_of=release.row_of,
            categories=codes,
            category_code={name: code for code, name in enumerate(names)},
            prices=_prices(release.items),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, items: Iterable[ItemId]) -> Rows:
        """Rows of items, -1 for each one that is not here."""
        row_of = self.row_of
        return np.array([row_of.get(item, -1) for item in items], np.int32)

    def unknown(self, items: Iterable[ItemId]) -> list[ItemId]:
        """Those of the items that are not here, each once, in their order."""
        return [item for item in dict.fromkeys(items) if item not in self.row_of]

    def allowed(self, filters: Filters) -> Mask | None:
        """Items that pass the filters; None if there is no filter."""
        if not filters:
            return None
        mask = np.ones(len(self), np.bool_)
        if filters.category is not None:
            # -2 is nobody's code: a category that the release lacks has no items.
            mask &= self.categories == self.category_code.get(filters.category, -2)
        if filters.price_min is not None:
            mask &= self.prices >= np.float32(filters.price_min)
        if filters.price_max is not None:
            mask &= self.prices <= np.float32(filters.price_max)
        return mask


def category_codes(items: pa.Table) -> tuple[Rows, list[str]]:
    """Codes of the category column, int32 [n] with -1 for none, and the categories by code."""
    if "category" not in items.column_names:
        return np.full(len(items), -1, np.int32), []
    encoded = items["category"].cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, encoded.dictionary.to_pylist()


def _prices(items: pa.Table) -> Floats:
    if "price" not in items.column_names:
        return np.full(len(items), np.nan, np.float32)
    return np.asarray(items["price"].to_numpy(), np.float32)
