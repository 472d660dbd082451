"""The three tables that every later stage reads, what they promise, and how they lie on disk."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tonnage.datasets.report import Account, DataReport
from tonnage.errors import DataError, NotFoundError
from tonnage.files import whole_directory

TIME: Final = "datetime64[us, UTC]"
"""The dtype of every time in the tables."""

INTERACTIONS = ("event_id", "user_id", "item_id", "kind", "at", "quantity", "price")
"""Columns of the interactions, in order."""

ITEMS = ("item_id", "title", "description", "category", "price")
"""Columns of the items, in order."""

NAMES = ("interactions", "items", "users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Who did what, with which items.

    Attributes:
        interactions: event_id str (unique), user_id str, item_id str, kind str, at datetime64[us, UTC],
            quantity f64, price f64 (NaN where unknown); ordered by time.
        items: item_id str (unique), title str, description str?, category str?, price f64?.
        users: user_id str (unique), and one string column per demographic.
    """

    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Tables, and what was decided on the way to them."""

    tables: Tables
    report: DataReport

    @classmethod
    def of(
        cls, tables: Tables, account: Account, *, source: str, origin: str, rows_read: int, replay: bool
    ) -> "Loaded":
        """Tables that keep their contract, with the report that follows from them.

        Raises:
            DataError: they do not, or no interaction is left.
        """
        times = checked(tables).interactions["at"]
        report = DataReport(
            source=source,
            origin=origin,
            rows_read=rows_read,
            interactions=len(times),
            items=len(tables.items),
            users=len(tables.users),
            since=times.min().isoformat(),
            until=times.max().isoformat(),
            replay=replay,
            decisions=tuple(account.decisions),
        )
        return cls(tables=tables, report=report)


@cache
def schemas() -> dict[str, Any]:
    """One pandera schema per table."""
    # Imported here: pandera takes a second, and most readers of tables never validate.
    import pandera.pandas as pa

    def text(*, nullable: bool = False, unique: bool = False) -> Any:
        return pa.Column(
            str, pa.Check.str_length(min_value=1), nullable=nullable, unique=unique, report_duplicates="all"
        )

    amount = pa.Check(lambda values: values.abs() != float("inf"), name="finite", error="a finite number")
    return {
        "interactions": pa.DataFrameSchema(
            {
                "event_id": text(unique=True),
                "user_id": text(),
                "item_id": text(),
                "kind": text(),
                "at": pa.Column(TIME),
                "quantity": pa.Column(float, [pa.Check.gt(0, error="above 0"), amount]),
                "price": pa.Column(float, [pa.Check.ge(0, error="0 or more"), amount], nullable=True),
            },
            strict=True,
        ),
        "items": pa.DataFrameSchema(
            {
                "item_id": text(unique=True),
                "title": text(),
                "description": text(nullable=True),
                "category": text(nullable=True),
                "price": pa.Column(float, [pa.Check.ge(0, error="0 or more"), amount], nullable=True),
            },
            strict=True,
        ),
        "users": pa.DataFrameSchema(
            {
                "user_id": text(unique=True),
                r"^(?!user_id$).+": pa.Column(str, nullable=True, regex=True, required=False),
            }
        ),
    }


def checked(tables: Tables) -> Tables:
    """The same tables, proven to keep their promises.

    Raises:
        DataError: with every broken promise; a source is expected to have said it better before.
    """
    import pandera.errors

    for name in NAMES:
        frame: pd.DataFrame = getattr(tables, name)
        try:
            schemas()[name].validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases.head(5)
            shown = "; ".join(
                f"{case.column or case.failure_case}: {case.check}, got {case.failure_case!r}"
                for case in cases.itertuples()
            )
            raise DataError(f"the {name} table breaks its contract: {shown}", table=name) from error
    if tables.interactions.empty:
        raise DataError("there is no interaction left", hint="Look at the rules in the data report.")
    return tables


def write(loaded: Loaded, directory: Path) -> None:
    """Replace `directory` with these tables and their report, whole or not at all."""
    with whole_directory(directory) as fresh:
        for name in NAMES:
            arrow = pa.Table.from_pandas(getattr(loaded.tables, name), preserve_index=False)
            pq.write_table(arrow.replace_schema_metadata(None), fresh / f"{name}.parquet", compression="zstd")
        (fresh / "report.json").write_text(loaded.report.as_json(), encoding="utf-8")


def read(directory: Path) -> Tables:
    """The tables that `write` left.

    Raises:
        NotFoundError: there are none.
    """
    paths = {name: directory / f"{name}.parquet" for name in NAMES}
    absent = [path.name for path in paths.values() if not path.exists()]
    if absent:
        raise NotFoundError(f"no {', '.join(absent)}", hint="Run `tonnage data` first.", directory=directory)
    return Tables(**{name: pd.read_parquet(path) for name, path in paths.items()})


def read_report(directory: Path) -> DataReport:
    """The report that lies beside the tables.

    Raises:
        NotFoundError: there is none.
    """
    path = directory / "report.json"
    if not path.exists():
        raise NotFoundError("no report.json", hint="Run `tonnage data` first.", directory=directory)
    return DataReport.from_json(path.read_text(encoding="utf-8"))
