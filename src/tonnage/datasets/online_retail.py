"""Online Retail (UCI, Daqing Chen 2015, CC BY 4.0): a UK gift shop from 2010-12-01 to 2011-12-09."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tonnage.datasets.report import Account
from tonnage.datasets.tables import INTERACTIONS, Loaded, Tables
from tonnage.datasets.times import to_utc
from tonnage.errors import DataError

COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
ZONE = "Europe/London"


def tables(raw: pd.DataFrame, *, origin: str, replay: bool = True) -> Loaded:
    """Turn the published rows into interactions, items and users.

    Args:
        raw: the eight published columns, in the published order of rows.
        origin: where `raw` was read, for the report.
        replay: for the report; see `DatasetConfig`.

    Raises:
        DataError: a column is missing, or no row is left.
    """
    absent = [column for column in COLUMNS if column not in raw.columns]
    if absent:
        raise DataError(f"not Online Retail: no column {', '.join(absent)}", file=origin)
    _refuse_wrong_types(raw, origin)
    account, rows = Account(), _typed(raw)
    for rule, mask, why in _left_out(rows):
        rows = account.drop(rows, mask.reindex(rows.index), rule=rule, why=why)
    rows = account.drop(
        rows,
        rows.duplicated(["invoice", "item_id", "quantity", "at", "price", "user_id"]),
        rule="line repeated word for word within an invoice",
        why="Told apart by nothing; counting it twice would double an order that was keyed twice.",
    )
    if rows.empty:
        raise DataError("no purchase is left of it", file=origin)
    moments, odd = to_utc(rows["at"], ZONE)
    account.changed(
        "time in the hour that the clock skips or repeats", odd, "The earlier moment: nothing is dated late."
    )
    kept = rows.assign(at=moments).sort_values(["at", "event_id"], kind="stable", ignore_index=True)
    interactions = kept.assign(kind="purchase")[[*INTERACTIONS]]
    users = kept.groupby("user_id", sort=True)["country"].last().reset_index()
    result = Tables(interactions=interactions, items=_items(kept), users=users)
    return Loaded.of(
        result, account, source="online-retail", origin=origin, rows_read=len(raw), replay=replay
    )


def _refuse_wrong_types(raw: pd.DataFrame, origin: str) -> None:
    numbers = ("Quantity", "UnitPrice", "CustomerID")
    wrong = [name for name in numbers if not pd.api.types.is_numeric_dtype(raw[name])]
    if not pd.api.types.is_datetime64_dtype(raw["InvoiceDate"]):
        wrong.append("InvoiceDate")
    if wrong:
        found = ", ".join(f"{name} is {raw[name].dtype}" for name in wrong)
        hint = "Numbers must be numbers, and InvoiceDate a timestamp without a zone."
        raise DataError(f"not Online Retail as published: {found}", hint=hint, file=origin)


def _typed(raw: pd.DataFrame) -> pd.DataFrame:
    code = raw["StockCode"].astype(str).str.strip()
    rows = pd.DataFrame(
        {
            "invoice": raw["InvoiceNo"].astype(str),
            # The same article is keyed as 85123A and as 85123a; the descriptions agree.
            "item_id": code.str.upper(),
            "title": _squeezed(raw["Description"]),
            "quantity": raw["Quantity"].astype(float),
            "at": raw["InvoiceDate"],
            "price": raw["UnitPrice"].astype(float),
            "user_id": raw["CustomerID"].map(lambda number: f"{number:.0f}", na_action="ignore"),
            "country": raw["Country"].astype(str),
        }
    ).reset_index(drop=True)
    # Numbered before any rule, so that an event keeps its id when a rule changes.
    line = rows.groupby("invoice").cumcount() + 1
    return rows.assign(event_id=rows["invoice"] + "-" + line.astype(str))


def _squeezed(text: "pd.Series[str]") -> "pd.Series[str]":
    # A few thousand descriptions stand in half a million rows: each is worked on once.
    clean = {each: " ".join(str(each).split()) for each in text.dropna().unique()}
    return text.map(clean)


def _left_out(rows: pd.DataFrame) -> Iterator[tuple[str, "pd.Series[bool]", str]]:
    yield (
        "cancellation (invoice begins with C)",
        rows["invoice"].str.startswith("C"),
        "It names no purchase, and taking that one away would use knowledge from after it.",
    )
    yield (
        "quantity not above zero",
        ~(rows["quantity"] > 0),
        "A return or a stock correction is not something that a customer chose.",
    )
    yield (
        "not goods (code does not begin with a digit)",
        ~rows["item_id"].str.match(r"\d"),
        "Postage, fees, vouchers and manual entries cannot be recommended.",
    )
    yield (
        "no customer",
        rows["user_id"].isna(),
        "Without a customer there is no history to learn taste from.",
    )
    yield (
        "price not above zero",
        ~(rows["price"] > 0),
        "Samples and corrections: nobody decided to buy at that price.",
    )
    yield (
        "no description",
        rows["title"].isna() | (rows["title"] == ""),
        "An item needs a title to be shown.",
    )


def _items(kept: pd.DataFrame) -> pd.DataFrame:
    # The description written most often is the name (the latest of equals); rare ones are typing errors.
    titles = kept.groupby(["item_id", "title"], sort=False)["at"].agg(["size", "max"]).reset_index()
    titles = titles.sort_values(["item_id", "size", "max", "title"]).drop_duplicates("item_id", keep="last")
    # The median, because wholesale orders of the same day are priced far below the shelf.
    prices = kept.groupby("item_id")["price"].median()
    return pd.DataFrame(
        {
            "item_id": titles["item_id"].to_numpy(),
            "title": titles["title"].to_numpy(),
            "description": np.full(len(titles), None, dtype=object),
            "category": np.full(len(titles), None, dtype=object),
            "price": prices.reindex(titles["item_id"]).to_numpy(),
        }
    )
