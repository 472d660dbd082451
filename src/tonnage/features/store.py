"""Build the feature rows, ask for them as of any midnight, and bring the latest ones to the online store."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tonnage.domain import ItemId, UserId
from tonnage.errors import DataError, NotFoundError
from tonnage.features.address import online_store_errors
from tonnage.features.config import FeaturesConfig
from tonnage.features.definitions import (
    ITEM_ROW,
    ITEM_STATS,
    NO_ONLINE_STORE,
    USER_HISTORY,
    USER_PROFILE,
    USER_ROW,
    USER_VIEWS,
    open_store,
)
from tonnage.features.history import user_history, user_profile
from tonnage.features.item_stats import COUNTS, ITEM_COLUMNS, item_stats
from tonnage.features.online import online_store_settings
from tonnage.features.rows import UserRow
from tonnage.files import whole_directory
from tonnage.telemetry import Progress

INSTANT = timedelta(microseconds=1)
"""The least difference between two times."""

BATCH = 500
"""Users written to the online store at a time."""


def build(data: Path, features: Path, config: FeaturesConfig, *, progress: Progress) -> None:
    """Compute every feature row of the tables in `data`; the former rows stand until all are there.

    Args:
        data: directory with interactions.parquet and users.parquet, see `tonnage.datasets`.
        features: receives `rows/` with user_history, user_profile and item_stats, each a Parquet file whose
            `event_timestamp` is the time of the last event folded into the row.
        config: the table `[features]`.
        progress: is told the number of rows.

    Raises:
        NotFoundError: a table is not there.
    """
    for name in ("interactions", "users"):
        _require(data / f"{name}.parquet", "Run `tonnage data` first.")
    with _quiet_ibis(), whole_directory(features / "rows") as rows, TemporaryDirectory() as spill:
        threads = {} if config.threads is None else {"threads": config.threads}
        connection = ibis.duckdb.connect(temp_directory=spill, **threads)
        interactions = connection.read_parquet(data / "interactions.parquet")
        tables = {
            USER_HISTORY: user_history(interactions),
            USER_PROFILE: user_profile(connection.read_parquet(data / "users.parquet")),
            ITEM_STATS: item_stats(interactions, every_days=config.item_every_days),
        }
        for name, table in tables.items():
            table.to_parquet(rows / f"{name}.parquet")
            progress.say(
                f"{name}: {connection.read_parquet(rows / f'{name}.parquet').count().execute()} rows"
            )
        connection.disconnect()


class OfflineFeatures:
    """Feature rows as they were at any midnight in UTC, joined point-in-time by Feast.

    Args:
        features: the directory that `build` filled.

    Raises:
        NotFoundError: it did not.
    """

    def __init__(self, features: Path) -> None:
        for name in (*USER_VIEWS, ITEM_STATS):
            _require(features / "rows" / f"{name}.parquet", "Run `tonnage features build` first.")
        self._store = open_store(
            features / "rows",
            # Feast's other local store, `file`, drops the entities that have no row yet.
            offline={"type": "duckdb"},
            online=NO_ONLINE_STORE,
            item_columns=ITEM_COLUMNS,
        )
        stamps = pq.read_table(features / "rows" / f"{ITEM_STATS}.parquet", columns=["event_timestamp"])
        self._until: datetime | None = pc.max(stamps.column(0)).as_py()

    def user_rows(self, users: Sequence[UserId], at: datetime) -> dict[UserId, UserRow]:
        """What was known of each user strictly before `at`; a user without a past has the cold row.

        Raises:
            DataError: `at` is not a midnight in UTC.
        """
        table = self._as_of("user_id", users, at, USER_ROW)
        return {UserId(features["user_id"]): UserRow.from_features(features) for features in _records(table)}

    def item_rows(self, items: Sequence[ItemId], at: datetime) -> pd.DataFrame:
        """Every item's statistics strictly before `at`: index item_id in the order asked, float64 columns.

        An item that nobody had has 0 in the columns `COUNTS` and NaN in the others. After the end of the data
        its last snapshot stands.

        Raises:
            DataError: `at` is not a midnight in UTC.
        """
        last = _midnight(at) if self._until is None else min(_midnight(at), self._until + INSTANT)
        known = (
            self._as_of("item_id", items, last, ITEM_ROW).to_pandas().set_index("item_id")[[*ITEM_COLUMNS]]
        )
        asked = known.reindex(pd.Index(items, name="item_id")).astype("float64")
        rows: pd.DataFrame = asked.fillna(dict.fromkeys(COUNTS, 0.0))
        return rows

    def _as_of(self, key: str, ids: Sequence[str], at: datetime, service: str) -> pa.Table:
        # Feast joins rows dated at or before the entity's time; ours must be before.
        asked = pd.DataFrame({key: list(dict.fromkeys(ids)), "event_timestamp": _midnight(at) - INSTANT})
        wanted = self._store.get_feature_service(service)
        with _quiet_ibis():
            return self._store.get_historical_features(entity_df=asked, features=wanted).to_arrow()


def materialize(features: Path, online: str, *, progress: Progress) -> int:
    """Write the latest row of every user to the online store, whatever it holds; what is written last wins.

    Args:
        features: the directory that `build` filled.
        online: URL of the online store, see `online.open_online`.
        progress: is told how far it is.

    Returns:
        How many users.

    Raises:
        NotFoundError: there are no rows.
        DependencyError: the online store failed.
    """
    rows = features / "rows"
    for name in USER_VIEWS:
        _require(rows / f"{name}.parquet", "Run `tonnage features build` first.")
    users: set[str] = set()
    with _quiet_ibis(), online_store_errors(online):
        # A batch may wait longer than a request.
        store = open_store(
            rows, offline={"type": "duckdb"}, online=online_store_settings(online, timeout_s=30)
        )
        for name in USER_VIEWS:
            latest = _latest(rows / f"{name}.parquet")
            for start in range(0, len(latest), BATCH):
                batch = latest.iloc[start : start + BATCH]
                store.write_to_online_store(name, df=batch)
                users.update(batch["user_id"])
            progress.say(f"{name}: {len(latest)} users in the online store")
    return len(users)


@contextmanager
def _quiet_ibis() -> Iterator[None]:
    """Keep one warning from people who can do nothing about it: Ibis 12 calls what DuckDB 2 renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "fetch_arrow_table", DeprecationWarning)
        yield


def _midnight(at: datetime) -> datetime:
    # Rows are daily. Within a day, whether the day's row is dated before or after `at` would depend on what
    # happens after `at`, which is a leak, if a small one.
    if at.tzinfo is None or at.astimezone(UTC).time() != time(0):
        raise DataError("features are daily; ask for them at a midnight in UTC", at=at)
    return at


def _latest(file: Path) -> pd.DataFrame:
    rows = ibis.duckdb.connect().read_parquet(file)
    newest = rows.event_timestamp == rows.event_timestamp.max().over(group_by="user_id")
    latest: pd.DataFrame = rows.filter(newest).order_by("user_id").to_pandas()
    return latest


def _records(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows of an Arrow table as dictionaries; lists of numbers are NumPy arrays, cut from one."""
    columns = {name: list(_cells(table.column(name).combine_chunks())) for name in table.column_names}
    for position in range(table.num_rows):
        yield {name: cells[position] for name, cells in columns.items()}


def _cells(column: pa.Array) -> Iterator[Any]:
    if not (pa.types.is_list(column.type) and pa.types.is_floating(column.type.value_type)):
        yield from column.to_pylist()
        return
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(column.value_lengths().fill_null(0).to_numpy())
    for here, cells in zip(column.is_valid().to_pylist(), np.split(numbers, ends[:-1]), strict=True):
        yield cells if here else None


def _require(file: Path, hint: str) -> None:
    if not file.is_file():
        raise NotFoundError("there is no such table", hint=hint, file=file)
