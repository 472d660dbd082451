"""Settings of the feature stage."""

from pydantic import Field, PositiveInt

from tonnage.settings import Section

MOST_DAYS = 28
"""The most days between two snapshots; older ones are not looked at."""


class FeaturesConfig(Section):
    """The table `[features]` of `tonnage.toml`.

    Attributes:
        item_every_days: days between two snapshots of the item statistics. 1 is exact for every date; more
            saves room where there are very many items, and what training reads is up to so many days older.
        threads: how many threads DuckDB may use; None for all cores.
    """

    item_every_days: int = Field(1, ge=1, le=MOST_DAYS)
    threads: PositiveInt | None = None
