"""What is wrong with a file, gathered, so that a person mends it in one go."""

from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.errors import DataError

SHOWN = 5
"""How many rows of one problem are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One kind of defect in one column of one file.

    Attributes:
        file: as the person named it.
        column: the file's own name for it; empty where the whole file is meant.
        what: what is wrong.
        remedy: what to do.
        rows: their numbers as a person counts: a CSV's header is row 1, and so is a Parquet file's first row.
        values: the cells in the first of those rows.
    """

    file: str
    column: str = ""
    what: str
    remedy: str = ""
    rows: Sequence[int] = ()
    values: Sequence[str] = ()

    def __str__(self) -> str:
        place = f"{self.file}, column {self.column!r}" if self.column else self.file
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}: {self.what}{self._rows()}{remedy}"

    def _rows(self) -> str:
        if not self.rows:
            return ""
        shown = [f"row {row}" for row in self.rows[:SHOWN]]
        for position, value in enumerate(self.values[:SHOWN]):
            shown[position] += f" has {value[:60]!r}"
        more = f" and {len(self.rows) - SHOWN:,} more" if len(self.rows) > SHOWN else ""
        return f": {', '.join(shown)}{more}"


class RefusedError(DataError):
    """A file has problems; the message names file, column, rows and what to do, a line for each.

    Attributes:
        problems: all of them, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(str(problems[0]) if len(problems) == 1 else f"{len(problems)} problems:{lines}")
        self.problems = tuple(problems)


def refuse(problems: Sequence[Problem]) -> None:
    """Return when there is no problem.

    Raises:
        RefusedError: otherwise, with every one.
    """
    if problems:
        raise RefusedError(problems)
