"""What a dataset kept, what it left out, and why: nothing disappears without a count."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One rule that rows met, how many met it, and the reason for the rule.

    Attributes:
        rows: how many rows; a row counts at the first rule that it meets.
        outcome: `left out`, `changed` or `kept`.
    """

    rule: str
    rows: int
    outcome: str
    why: str


@dataclass(slots=True)
class Account:
    """Takes note of decisions while a source applies them."""

    decisions: list[Decision] = field(default_factory=list)

    def left_out(self, rule: str, rows: int, why: str) -> None:
        """Note that `rows` rows are not in the tables."""
        self.decisions.append(Decision(rule=rule, rows=rows, outcome="left out", why=why))

    def changed(self, rule: str, rows: int, why: str) -> None:
        """Note that `rows` rows are in the tables otherwise than in the source."""
        self.decisions.append(Decision(rule=rule, rows=rows, outcome="changed", why=why))

    def drop(self, rows: pd.DataFrame, mask: "pd.Series[bool]", *, rule: str, why: str) -> pd.DataFrame:
        """The rows without those of the mask, noted as left out."""
        self.left_out(rule, int(mask.sum()), why)
        return rows[~mask]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """Counts of one load.

    Attributes:
        origin: where the rows came from, as a person would say it.
        rows_read: rows in the source before any rule.
        since: time of the first interaction, ISO 8601 in UTC; `until` of the last.
        replay: whether the data are historical (see `DatasetConfig.replay`).
    """

    source: str
    origin: str
    rows_read: int
    interactions: int
    items: int
    users: int
    since: str
    until: str
    replay: bool
    decisions: tuple[Decision, ...] = ()

    def as_json(self) -> str:
        """The content of `report.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "DataReport":
        """Read back what `as_json` wrote."""
        content = json.loads(text)
        decisions = tuple(Decision(**each) for each in content.pop("decisions"))
        return cls(**content, decisions=decisions)

    def table(self) -> "Table":
        """The report for a terminal."""
        from rich.table import Table

        table = Table(title=f"{self.origin}: {self.rows_read:,} rows read", title_justify="left")
        table.add_column("rule")
        table.add_column("rows", justify="right")
        table.add_column("outcome")
        table.add_column("why", overflow="fold")
        for each in self.decisions:
            table.add_row(each.rule, f"{each.rows:,}", each.outcome, each.why)
        table.add_section()
        for noun, count in (
            ("interactions", self.interactions),
            ("items", self.items),
            ("users", self.users),
        ):
            table.add_row(
                noun, f"{count:,}", "kept", f"{self.since} to {self.until}" if noun == "interactions" else ""
            )
        return table
