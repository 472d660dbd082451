"""Files of yours as the three tables, by the mapping in `tonnage.toml`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pandera.errors

from tonnage.datasets.columns import Columns
from tonnage.datasets.config import InteractionsFile, TableFile
from tonnage.datasets.files import read_file
from tonnage.datasets.problems import SHOWN, Problem, RefusedError, refuse
from tonnage.datasets.report import Account
from tonnage.datasets.tables import INTERACTIONS, ITEMS, Loaded, Tables, schemas

REMEDIES = {
    "not_nullable": ("empty cells", "every row needs a value"),
    "field_uniqueness": ("the same value in several rows", "each value must stand once"),
}
"""What a person reads where pandera names a check."""

T = TypeVar("T")


def tables(
    interactions: InteractionsFile,
    items: TableFile | None,
    users: TableFile | None,
    *,
    root: Path,
    replay: bool,
) -> Loaded:
    """Read, check and join up to three files.

    Args:
        interactions: who did what, when.
        items: None makes them from the interactions: the id is the title, the price the median.
        users: None makes them from the interactions, without demographics.
        root: what the paths are relative to.
        replay: for the report; see `DatasetConfig`.

    Raises:
        DataError: every problem of every file in one error, each with file, column, rows and what to do.
    """
    account, problems = Account(), list[Problem]()
    read = _gathered(problems, lambda: _interactions(interactions, root, account))
    goods = _gathered(problems, lambda: _items(items, root)) if items else None
    people = _gathered(problems, lambda: _users(users, root)) if users else None
    refuse(problems)
    events, rows = read if read is not None else (pd.DataFrame(), 0)
    joined = Tables(
        interactions=events,
        items=_with_every_item(goods, events, account),
        users=_with_every_user(people, events, account),
    )
    origin = ", ".join(str(each.path) for each in (interactions, items, users) if each is not None)
    return Loaded.of(joined, account, source="tables", origin=origin, rows_read=rows, replay=replay)


def _gathered(problems: list[Problem], work: Callable[[], T]) -> T | None:
    try:
        return work()
    except RefusedError as refused:
        problems.extend(refused.problems)
        return None


def _interactions(config: InteractionsFile, root: Path, account: Account) -> tuple[pd.DataFrame, int]:
    raw = read_file(
        config,
        root,
        required=("user_id", "item_id", "at"),
        optional=("event_id", "kind", "quantity", "price"),
    )
    columns = Columns(raw)
    rows = pd.DataFrame(
        {
            "user_id": columns.text("user_id"),
            "item_id": columns.text("item_id"),
            "kind": columns.text("kind") if "kind" in columns else config.kind,
            "at": columns.time("at", zone=config.timezone, form=config.time_format),
            "quantity": columns.number("quantity") if "quantity" in columns else 1.0,
            "price": columns.number("price") if "price" in columns else np.nan,
        },
        index=raw.numbers,
    )
    rows["event_id"] = columns.text("event_id") if "event_id" in columns else _event_ids(rows)
    rows = account.drop(
        rows, rows["quantity"] <= 0, rule="quantity not above zero", why="A return is not a choice."
    )
    rows = account.drop(rows, rows["price"] < 0, rule="price below zero", why="A correction is not a choice.")
    if columns.odd_times:
        why = "The earlier moment: nothing is dated late."
        account.changed("time in the hour that the clock skips or repeats", columns.odd_times, why)
    _refuse_unless_kept("interactions", rows[[*INTERACTIONS]], columns)
    if rows.empty:
        what = "no row is left: each has a quantity of zero or less, or a price below zero"
        raise RefusedError([Problem(file=raw.file, what=what, remedy="look at the mapping of these columns")])
    rows = rows.sort_values(["at", "event_id"], kind="stable", ignore_index=True)
    return rows[[*INTERACTIONS]], len(raw.numbers)


def _event_ids(rows: pd.DataFrame) -> "pd.Series[Any]":
    """Ids that follow from what happened, so that a longer export of the same shop keeps them."""
    digest = pd.util.hash_pandas_object(rows, index=False)
    repeated = digest.groupby(digest).cumcount()
    return digest.map("{:016x}".format) + "-" + repeated.astype(str)


def _items(config: TableFile, root: Path) -> pd.DataFrame:
    raw = read_file(
        config, root, required=("item_id", "title"), optional=("description", "category", "price")
    )
    columns = Columns(raw)
    rows = pd.DataFrame({name: columns.text(name) for name in ("item_id", "title")})
    for name in ("description", "category"):
        rows[name] = columns.text(name) if name in columns else None
    rows["price"] = columns.number("price") if "price" in columns else np.nan
    _refuse_unless_kept("items", rows[[*ITEMS]], columns)
    return rows[[*ITEMS]].reset_index(drop=True)


def _users(config: TableFile, root: Path) -> pd.DataFrame:
    raw = read_file(config, root, required=("user_id",), optional=None)
    columns = Columns(raw)
    rows = pd.DataFrame({name: columns.text(name) for name in raw.names})
    _refuse_unless_kept("users", rows, columns)
    return rows.reset_index(drop=True)


def _refuse_unless_kept(table: str, rows: pd.DataFrame, columns: Columns) -> None:
    """Refuse what could not be read, and what the table's schema does not take, together."""
    problems = list(columns.problems)
    try:
        schemas()[table].validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        for (name, check), group in error.failure_cases.groupby(["column", "check"], sort=False):
            broken = {int(row) for row in group["index"].dropna()}
            problems += _unless_known(name, check, broken, rows, columns)
    refuse(problems)


def _unless_known(
    name: str, check: str, broken: set[int], rows: pd.DataFrame, columns: Columns
) -> Iterator[Problem]:
    """The broken rule as a problem, without the rows whose cells could not be read in the first place."""
    theirs = columns.raw.names.get(name, name)
    told = [problem for problem in columns.problems if problem.column == theirs]
    if any(not problem.rows for problem in told):
        return  # The whole column is of another type.
    numbers = sorted(broken.difference(*(problem.rows for problem in told)))
    if told and not numbers:
        return
    what, remedy = REMEDIES.get(check, (f"must be {check}", ""))
    cells = [] if check == "not_nullable" else [str(rows.loc[row, name]) for row in numbers[:SHOWN]]
    yield Problem(file=columns.raw.file, column=theirs, what=what, remedy=remedy, rows=numbers, values=cells)


def _with_every_item(goods: pd.DataFrame | None, events: pd.DataFrame, account: Account) -> pd.DataFrame:
    prices = events.groupby("item_id", sort=True)["price"].median()
    known = prices.index[:0] if goods is None else pd.Index(goods["item_id"])
    new = prices[~prices.index.isin(known)]
    made = pd.DataFrame({"item_id": new.index, "title": new.index, "price": new.to_numpy()}).assign(
        description=None, category=None
    )[[*ITEMS]]
    if goods is None:
        return made
    if len(made):
        why = "The interactions are real; the id stands in for the title."
        account.changed("item that the items file does not have", len(made), why)
    return pd.concat([goods, made.astype(goods.dtypes.to_dict())], ignore_index=True) if len(made) else goods


def _with_every_user(people: pd.DataFrame | None, events: pd.DataFrame, account: Account) -> pd.DataFrame:
    acting = pd.Index(events["user_id"].unique()).sort_values()
    if people is None:
        return pd.DataFrame({"user_id": acting.to_numpy(dtype=object)})
    new = acting[~acting.isin(people["user_id"])]
    if not len(new):
        return people
    account.changed("user that the users file does not have", len(new), "Demographics stay unknown.")
    made = pd.DataFrame(dict.fromkeys(people.columns) | {"user_id": new.to_numpy(dtype=object)})
    return pd.concat([people, made[list(people.columns)]], ignore_index=True)
