"""What `[dataset]` in `tonnage.toml` may say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

from pydantic import Field, field_validator, model_validator

from tonnage.files import cache_home
from tonnage.settings import Section


class TableFile(Section):
    """One CSV or Parquet file, and which of its columns means what.

    Attributes:
        path: the file, relative to `tonnage.toml`; `.csv`, `.csv.gz` or `.parquet`.
        columns: our name -> the file's name. A column that has our name already need not be listed.
        delimiter: between the cells of a CSV.
    """

    path: Path
    columns: Mapping[str, str] = Field(default_factory=dict)
    delimiter: str = Field(default=",", min_length=1, max_length=1)


class InteractionsFile(TableFile):
    """The file of interactions.

    Attributes:
        timezone: IANA name of the zone that naive timestamps are in; timestamps with an offset ignore it.
        time_format: strptime format of the timestamps; ISO 8601 by default.
        kind: what every row is, where the file has no column for it.
    """

    timezone: str | None = None
    time_format: str | None = None
    kind: str = Field(default="purchase", min_length=1)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None and name not in available_timezones():
            raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin")
        return name


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
    categories: int = Field(default=12, ge=1, le=16)
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
        url: where it is downloaded; by default dataset 352 of the UCI Machine Learning Repository, as CSV.
        cache: where downloads are kept; `$XDG_CACHE_HOME/tonnage/data` or `~/.cache/tonnage/data` by default.
    """

    source: Literal["online-retail", "tables", "simulator"] = "online-retail"
    replay: bool = True
    path: Path = Path("../shared/data/online-retail.parquet")
    url: str = Field(default="https://archive.ics.uci.edu/static/public/352/data.csv", pattern=r"^https?://")
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

    def files(self, root: Path) -> list[Path]:
        """The files that this dataset may be read from, whether they are there or not.

        Args:
            root: what relative paths are relative to.
        """
        if self.source == "simulator":
            return []
        if self.source == "online-retail":
            return [root / self.path, self.download]
        return [
            root / table.path for table in (self.interactions, self.items, self.users) if table is not None
        ]

    @property
    def download(self) -> Path:
        """Where a downloaded Online Retail is kept; the environment is asked when `cache` does not say."""
        return (self.cache or cache_home() / "data") / "online-retail.parquet"
