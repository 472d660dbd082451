"""A small shop's tables, made from a seed, and how to compare feature rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tonnage.features.rows import UserRow

OPENED = datetime(2011, 3, 1, tzinfo=UTC)
DAYS = 60
USERS = tuple(f"u{number}" for number in range(12))
ITEMS = tuple(f"i{number:02}" for number in range(25))
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("event_id", "user_id", "item_id", "kind")),
        ("at", pa.timestamp("us", tz="UTC")),
        ("quantity", pa.float64()),
        ("price", pa.float64()),
    ]
)

Event = tuple[str, str, str, str, datetime, float, float | None]
"""One interaction, its values in the order of `SCHEMA`."""


def interactions(seed: int = 7, count: int = 400) -> pd.DataFrame:
    """Events at any microsecond of `DAYS` days; some share their time, some have no price."""
    rng = np.random.default_rng(seed)
    at = [OPENED + timedelta(seconds=float(s)) for s in rng.uniform(0, DAYS * 86_400, count)]
    at[1::7] = at[0:-1:7][: len(at[1::7])]
    events: list[Event] = [
        (
            f"e{number}",
            str(rng.choice(USERS)),
            str(rng.choice(ITEMS)),
            str(rng.choice(["view", "purchase"])),
            at[number],
            float(rng.integers(1, 9)),
            None if number % 5 == 0 else round(float(rng.uniform(0.5, 20)), 2),
        )
        for number in range(count)
    ]
    return table(events)


def table(events: Sequence[Event]) -> pd.DataFrame:
    """Events as the table that `tonnage.datasets` writes."""
    frame = pd.DataFrame(list(events), columns=SCHEMA.names)
    return frame.astype({"at": "datetime64[us, UTC]", "quantity": "float64", "price": "float64"})


def users() -> pd.DataFrame:
    """Demographics; one user has none, one has no interactions."""
    countries = ["France", "Germany", None] * 4
    bands = ["18-24", "25-34", None, "35-44"] * 3
    known = pd.DataFrame({"user_id": USERS, "country": countries, "age_band": bands})
    return pd.concat([known, pd.DataFrame([{"user_id": "silent", "country": "France", "age_band": None}])])


def write(events: pd.DataFrame, directory: Path) -> Path:
    """The tables that features are built from, in a directory."""
    directory.mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pandas(events, SCHEMA, preserve_index=False), directory / "interactions.parquet"
    )
    users().to_parquet(directory / "users.parquet", index=False)
    return directory


def assert_same_row(found: UserRow, expected: UserRow, *, rtol: float = 0.0) -> None:
    """Fail, naming the part, unless two rows are equal; NaN equals NaN."""
    assert list(found.history.items) == list(expected.history.items)
    assert dict(found.demographics) == dict(expected.demographics)
    for name in ("orders", "quantities", "first_at", "last_at"):
        ours, theirs = getattr(found.history, name), getattr(expected.history, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=0, err_msg=name)
    assert found.values.keys() == expected.values.keys()
    for name, value in expected.values.items():
        np.testing.assert_allclose(found.values[name], value, rtol=rtol, atol=0, err_msg=name)
