"""The item table of a release as a recommender needs it: by row, by id, and by what a filter asks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tonnage.domain import Floats, ItemId, Rows
from tonnage.releases.item_ids import ItemIds
from tonnage.releases.release import Release

Mask = NDArray[np.bool_]
"""One truth per item row."""

NO_ROWS: Rows = np.empty(0, np.int32)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Which items may be proposed. Indexed by rows, it answers for each whether it may.

    Attributes:
        passing: what the filters let pass, bool [n_items]; None if there are none.
        barred: rows that must not come besides, a few.
    """

    passing: Mask | None
    barred: Rows

    def __getitem__(self, rows: Rows) -> Mask:
        if self.passing is None:
            return ~np.isin(rows, self.barred)
        may = self.passing[rows]
        if len(self.barred):
            passed = np.flatnonzero(may)
            may[passed] = ~np.isin(rows[passed], self.barred)
        return may


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Items by row, read where the release's files are mapped: a million of them are no Python objects.

    Attributes:
        ids: item ids.
        titles: what people read; null where there is none.
        categories: code of each item's category, int32 [n]; -1 for none.
        category_code: category to code.
        prices: float32 [n]; NaN for none.
    """

    ids: ItemIds
    titles: pa.Array
    categories: Rows
    category_code: Mapping[str, int]
    prices: Floats

    @classmethod
    def of(cls, release: Release) -> "Catalogue":
        """The items of a release."""
        codes, names = category_codes(release.items)
        return cls(
            ids=release.row_of,
            titles=_one_chunk(release.items["title"]),
            categories=codes,
            category_code={name: code for code, name in enumerate(names)},
            prices=_prices(release.items),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, items: Sequence[ItemId]) -> Rows:
        """Rows of items, -1 for each one that is not here."""
        return self.ids.rows(items) if items else NO_ROWS

    def titles_of(self, rows: Rows) -> list[str | None]:
        """What people read, of each row."""
        # One by one: to start one of Arrow's kernels takes longer than ten items.
        return [self.titles[row].as_py() for row in rows.tolist()]

    def unknown(self, items: Iterable[ItemId]) -> list[ItemId]:
        """Those of the items that are not here, each once, in their order."""
        asked = list(dict.fromkeys(items))
        return [item for item, row in zip(asked, self.rows(asked).tolist(), strict=True) if row < 0]

    def allowed(self, filters: Filters, barred: Rows) -> Allowed | None:
        """Items that pass the filters and are not barred; None if all may come.

        Args:
            filters: of a request.
            barred: rows that must not come; those below 0 are nobody's.
        """
        barred = barred[barred >= 0]
        if not filters and not len(barred):
            return None
        return Allowed(passing=self._passing(filters), barred=barred)

    def _passing(self, filters: Filters) -> Mask | None:
        masks: list[Mask] = []
        if filters.category is not None:
            # -2 is nobody's code: a category that the release lacks has no items.
            masks.append(self.categories == self.category_code.get(filters.category, -2))
        if filters.price_min is not None:
            masks.append(self.prices >= np.float32(filters.price_min))
        if filters.price_max is not None:
            masks.append(self.prices <= np.float32(filters.price_max))
        return reduce(np.logical_and, masks) if masks else None


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


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
