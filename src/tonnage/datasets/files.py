"""CSV and Parquet files as they are, with every row numbered as a person counts."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tonnage.datasets.config import TableFile
from tonnage.datasets.problems import Problem, RefusedError, refuse

FORMATS = "a .csv, .csv.gz or .parquet file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What a file holds, in our names.

    Attributes:
        file: as the person named it.
        names: our column name -> the file's.
        cells: the columns; those of a CSV are strings, its empty cells null. Empty rows are left out.
        numbers: of the rows, int64 [n]; see `Problem.rows`.
    """

    file: str
    names: Mapping[str, str]
    cells: pa.Table
    numbers: NDArray[np.int64]


def read_file(
    table: TableFile, root: Path, *, required: Sequence[str], optional: Sequence[str] | None
) -> Raw:
    """Read the columns that the mapping names, and those that have our names already.

    Args:
        table: path and mapping.
        root: what the path is relative to.
        required: our names that must be there.
        optional: our names that may be there; None for any column of the file.

    Raises:
        DataError: the file is absent, not readable, empty or ragged, or lacks columns: all of them are named.
    """
    file, path = str(table.path), root / table.path
    if not path.is_file():
        raise RefusedError(
            [Problem(file=file, what="there is no such file", remedy=f"looked for {path.absolute()}")]
        )
    parquet = path.suffix == ".parquet"
    try:
        header = pq.read_schema(path).names if parquet else _header(path, table.delimiter)
        names = _names(table, header, required=required, optional=optional)
        cells = (
            _ours(pq.read_table(path, columns=sorted(set(names.values()))), names)
            if parquet
            else _csv(path, names, table)
        )
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, OSError) as error:
        sentence = str(error).split("\n", 1)[0][:200]
        problem = Problem(
            file=file, what=f"cannot be read: {sentence}", remedy=f"it must be {FORMATS} in UTF-8"
        )
        raise RefusedError([problem]) from error
    filled = np.zeros(len(cells), dtype=bool)
    for column in cells.columns:
        filled |= column.is_valid().to_numpy()
    if not filled.any():
        refuse([Problem(file=file, what="holds no row", remedy="it needs a header and at least one row")])
    numbers = np.flatnonzero(filled) + (1 if parquet else 2)
    return Raw(file=file, names=names, cells=cells.filter(pa.array(filled)), numbers=numbers)


def _names(
    table: TableFile, header: Sequence[str], *, required: Sequence[str], optional: Sequence[str] | None
) -> dict[str, str]:
    allowed = None if optional is None else (*required, *optional)
    file = str(table.path)
    if allowed is not None and (unknown := [ours for ours in table.columns if ours not in allowed]):
        what = f"the mapping names {', '.join(unknown)}, which the table does not have"
        refuse([Problem(file=file, what=what, remedy=f"known: {', '.join(allowed)}")])
    # A file of customers without a mapping is taken as it is; with one, only what the mapping lists.
    plain = (() if table.columns else header) if allowed is None else allowed
    names = {ours: ours for ours in (*required, *plain) if ours in header} | dict(table.columns)
    missing = [(ours, ours) for ours in required if ours not in names]
    missing += [(ours, theirs) for ours, theirs in names.items() if theirs not in header]
    twice = sorted({name for name in names.values() if list(header).count(name) > 1})
    found = f"the file has {', '.join(header[:30])}" if any(header) else "the file has no header"
    problems = [
        Problem(file=file, column=theirs, what=f"missing, needed for {ours}", remedy=found)
        for ours, theirs in missing
    ]
    problems += [Problem(file=file, column=name, what="stands there twice") for name in twice]
    refuse(problems)
    return names


def _header(path: Path, delimiter: str) -> list[str]:
    with _text(path) as lines:
        return next(csv.reader(lines, delimiter=delimiter), [])


def _text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _csv(path: Path, names: Mapping[str, str], file: TableFile) -> pa.Table:
    ragged: list[pyarrow.csv.InvalidRow] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    columns = sorted(set(names.values()))
    table = pyarrow.csv.read_csv(
        path,
        # Several threads would be faster, but then nobody knows the number of a row.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=file.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=remember,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types={name: pa.string() for name in columns},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    if ragged:
        expected = ragged[0].expected_columns
        what = f"rows with more or fewer than {expected} columns"
        rows, texts = [row.number for row in ragged], [row.text for row in ragged]
        remedy = "quote cells that hold the delimiter"
        refuse([Problem(file=str(file.path), what=what, remedy=remedy, rows=rows, values=texts)])
    return _ours(table, names)


def _ours(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return pa.table({ours: table[theirs] for ours, theirs in names.items()})
