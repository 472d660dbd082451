"""Online Retail (UCI, Daqing Chen 2015, CC BY 4.0): a UK gift shop from 2010-12-01 to 2011-12-09."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tonnage.datasets.report import DataReport, Decision
from tonnage.datasets.tables import Loaded, Tables, checked
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


def tables(raw: pd.DataFrame, *, origin: str) -> Loaded:
    """Turn the published rows into interactions, items and users.

    Args:
        raw: the eight published columns, in the published order of rows.
        origin: where `raw` was read, for the report.

    Raises:
        DataError: a column is missing, or no row is left.
    """
    absent = [column for column in COLUMNS if column not in raw.columns]
    if absent:
        raise DataError(f"not Online Retail: no column {', '.join(absent)}", file=origin)
    lines = _Lines(_typed(raw))
    for rule, mask, why in _left_out(lines.rows):
        lines.leave_out(rule, mask, why)
    repeated = lines.rows.duplicated(["invoice", "item_id", "quantity", "at", "price", "user_id"])
    lines.leave_out(
        "line repeated word for word within an invoice",
        repeated,
        "Told apart by nothing; counting it twice would double an order that was keyed twice.",
    )
    if lines.rows.empty:
        raise DataError("no purchase is left of it", file=origin)
    moments, odd = to_utc(lines.rows["at"], ZONE)
    kept = lines.rows.assign(at=moments)
    lines.note(
        "time in the hour that the clock skips or repeats",
        odd,
        "The earlier moment is taken: nothing is dated late.",
    )
    return _loaded(kept, lines.decisions, origin=origin, rows_read=len(raw))


@dataclass
class _Lines:
    """The rows still in, and the account of those that are not."""

    rows: pd.DataFrame
    decisions: list[Decision] = field(default_factory=list)

    def leave_out(self, rule: str, mask: "pd.Series[bool]", why: str) -> None:
        mask = mask.reindex(self.rows.index)
        self.decisions.append(Decision(rule=rule, rows=int(mask.sum()), outcome="left out", why=why))
        self.rows = self.rows[~mask]

    def note(self, rule: str, rows: int, why: str) -> None:
        self.decisions.append(Decision(rule=rule, rows=rows, outcome="changed", why=why))


def _typed(raw: pd.DataFrame) -> pd.DataFrame:
    code = raw["StockCode"].astype(str).str.strip()
    rows = pd.DataFrame(
        {
            "invoice": raw["InvoiceNo"].astype(str),
            # The same article is keyed as 85123A and as 85123a; the descriptions agree.
            "item_id": code.str.upper(),
            "title": raw["Description"].str.split().str.join(" "),
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


def _loaded(kept: pd.DataFrame, decisions: list[Decision], *, origin: str, rows_read: int) -> Loaded:
    kept = kept.sort_values(["at", "event_id"], kind="stable", ignore_index=True)
    interactions = kept.assign(kind="purchase")[
        ["event_id", "user_id", "item_id", "kind", "at", "quantity", "price"]
    ]
    users = kept.groupby("user_id", sort=True)["country"].last().reset_index()
    result = checked(Tables(interactions=interactions, items=_items(kept), users=users))
    report = DataReport(
        source="online-retail",
        origin=origin,
        rows_read=rows_read,
        interactions=len(interactions),
        items=len(result.items),
        users=len(users),
        since=kept["at"].iloc[0].isoformat(),
        until=kept["at"].iloc[-1].isoformat(),
        replay=True,
        decisions=tuple(decisions),
    )
    return Loaded(tables=result, report=report)


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
