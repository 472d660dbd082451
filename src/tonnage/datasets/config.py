"""What `[dataset]` in `tonnage.toml` may say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tonnage.settings import Section


class TableFile(Section):
    """One CSV or Parquet file, and which of its columns means what.

    Attributes:
        path: the file, relative to `tonnage.toml`; `.csv`, `.csv.gz` or `.parquet`.
        columns: our name -> the file's name. A column that has our name already need not be listed.
    """

    path: Path
    columns: Mapping[str, str] = Field(default_factory=dict)


class InteractionsFile(TableFile):
    """The file of interactions.

    Attributes:
        timezone: IANA name of the zone that naive timestamps are in; timestamps with an offset ignore it.
        kind: what every row is, where the file has no column for it.
    """

    timezone: str | None = None
    kind: str = "purchase"


class SimulatorConfig(Section):
    """How large and how long a shop the simulator makes; the same numbers give the same shop.

    Attributes:
        new_items: share of the items that appear after the first day.
        slate: how many items a simulated visitor looks at in one session.
        start: first day, UTC.
    """

    seed: int = 7
    users: int = Field(default=2_000, ge=1)
    items: int = Field(default=1_000, ge=2)
    days: int = Field(default=180, ge=1)
    sessions_per_user: float = Field(default=12.0, gt=0)
    categories: int = Field(default=12, ge=1)
    factors: int = Field(default=16, ge=1)
    slate: int = Field(default=40, ge=1)
    new_items: float = Field(default=0.2, ge=0, lt=1)
    start: str = Field(default="2025-01-01", pattern=r"^\d{4}-\d{2}-\d{2}$")


class DatasetConfig(Section):
    """Where the three tables come from.

    Attributes:
        source: the shop that UCI publishes, files of yours, or the simulator.
        replay: the data are historical, so that serving's clock starts at their end instead of today.
        path: Online Retail as Parquet, relative to `tonnage.toml`; the cache and UCI are tried after it.
        cache: where downloads are kept; `$XDG_CACHE_HOME/tonnage/data` or `~/.cache/tonnage/data` by default.
    """

    source: Literal["online-retail", "tables", "simulator"] = "online-retail"
    replay: bool = True
    path: Path = Path("../shared/data/online-retail.parquet")
    cache: Path | None = None
    interactions: InteractionsFile | None = None
    items: TableFile | None = None
    users: TableFile | None = None
    simulator: SimulatorConfig = SimulatorConfig()

    @model_validator(mode="before")
    @classmethod
    def _files_of_yours_are_live(cls, table: object) -> object:
        if isinstance(table, Mapping) and "replay" not in table:
            return {**table, "replay": table.get("source") != "tables"}
        return table

    @model_validator(mode="after")
    def _files_need_interactions(self) -> "DatasetConfig":
        if self.source == "tables" and self.interactions is None:
            raise ValueError('source = "tables" needs [dataset.interactions] with path and columns')
        return self
