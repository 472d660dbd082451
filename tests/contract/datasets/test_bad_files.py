"""Whatever is wrong with a person's files is said once, with file, column, row and what to do."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonnage.datasets.config import DatasetConfig
from tonnage.datasets.loading import load
from tonnage.datasets.tables import Tables
from tonnage.errors import ConfigError, DataError
from tonnage.telemetry import Silent

ORDERS = """line,customer,sku,when,qty,paid
1,ann,mug,2025-03-01 10:00,1,4.5
2,bob,mug,2025-03-01T11:00:00+01:00,2,4.5
3,ann,pot,2025-03-02 09:30:15,1,
"""
COLUMNS = {
    "event_id": "line",
    "user_id": "customer",
    "item_id": "sku",
    "at": "when",
    "quantity": "qty",
    "price": "paid",
}

Read = Callable[..., Tables]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write files, then read them as `tonnage.toml` would."""

    def read(
        orders: str | bytes = ORDERS,
        *,
        name: str = "orders.csv",
        files: dict[str, str] | None = None,
        **more: Any,
    ) -> Tables:
        (tmp_path / name).write_bytes(orders.encode() if isinstance(orders, str) else orders)
        for other, content in (files or {}).items():
            (tmp_path / other).write_text(content)
        others = {key: more.pop(key) for key in ("items", "users") if key in more}
        interactions = {"path": name, "columns": COLUMNS, "timezone": "Europe/Berlin"} | more
        table = {"source": "tables", "interactions": interactions, **others}
        return load(DatasetConfig.read(table, where="test"), root=tmp_path, progress=Silent()).tables

    return read


def said(read: Read, orders: str | bytes, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(orders, **more)
    return str(caught.value)


def test_good_files_are_taken_as_they_are(read: Read):
    events = read().interactions
    assert events["event_id"].tolist() == ["1", "2", "3"]
    assert [str(at) for at in events["at"]] == [
        "2025-03-01 09:00:00+00:00",
        "2025-03-01 10:00:00+00:00",
        "2025-03-02 08:30:15+00:00",
    ]
    assert events["quantity"].tolist() == [1.0, 2.0, 1.0]
    assert events["price"].isna().tolist() == [False, False, True]


def test_every_missing_column_is_named_at_once(read: Read):
    message = said(read, "line,customer,when,qty\n1,ann,2025-03-01,1\n")
    for part in (
        "orders.csv",
        "'sku': missing, needed for item_id",
        "'paid': missing",
        "the file has line, customer",
    ):
        assert part in message


def test_every_problem_of_every_file_is_in_one_error(read: Read):
    """Mending a file one error at a time is how people give up."""
    orders = "line,customer,sku,when,qty,paid\n1,,mug,2025-03-01,1,1\n2,bob,mug,yesterday,two,1\n"
    message = said(
        read,
        orders,
        files={"items.csv": "sku,title\nmug,Mug\nmug,Cup\n"},
        items={"path": "items.csv", "columns": {"item_id": "sku"}},
    )
    assert message.startswith("4 problems:")
    for part in (
        "orders.csv, column 'customer': empty cells: row 2",
        "orders.csv, column 'when': not a time: row 3 has 'yesterday'",
        "orders.csv, column 'qty': not finite numbers: row 3 has 'two'",
        "items.csv, column 'sku': the same value in several rows: row 2 has 'mug', row 3 has 'mug'",
    ):
        assert part in message


def test_naive_times_need_a_zone(read: Read):
    """Guessing the zone would move every evening's orders to another day."""
    message = said(read, ORDERS, timezone=None)
    assert "column 'when': times without a time zone: row 2 has '2025-03-01 10:00', row 4" in message
    assert 'timezone = "Europe/Berlin"' in message


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2025-07-01T10:00:00Z", "2025-07-01 10:00"),
        ("2025-07-01 10:00:00.5 -05:30", "2025-07-01 15:30:00.5"),
        ("2025-07-01T10+02", "2025-07-01 08:00"),
        ("20250701T100000Z", "2025-07-01 10:00"),
        ("2025-07-01 10:00", "2025-07-01 01:00"),
        ("2025-07-01", "2025-06-30 15:00"),
    ],
)
def test_an_offset_in_the_file_wins_over_the_zone_of_the_mapping(read: Read, written: str, utc: str):
    events = read(ORDERS.replace("2025-03-01 10:00", written), timezone="Asia/Tokyo").interactions
    assert events.set_index("event_id")["at"]["1"] == pd.Timestamp(utc, tz="UTC")


def test_event_ids_must_be_unique(read: Read):
    message = said(read, ORDERS.replace("3,ann", "1,ann"))
    assert "column 'line': the same value in several rows: row 2 has '1', row 4 has '1'" in message


def test_a_cell_is_wrong_for_one_reason_only(read: Read):
    """A time that cannot be read is not an empty cell too."""
    orders = "line,customer,sku,when,qty,paid\n1,ann,mug,2025-03-01,1,1\n2,bob,mug,yesterday,1,1\n"
    message = said(read, orders, timezone=None)
    assert message.startswith("2 problems:")
    assert "empty" not in message


def test_rows_are_counted_as_a_person_sees_them_in_the_file(read: Read):
    """Empty lines and quoted line breaks are where parsers and people disagree."""
    orders = ORDERS + "\n" + '4,"c\nd",mug,never,1,1\n'
    assert "row 6 has 'never'" in said(read, orders)


def test_only_the_first_rows_are_shown_and_the_rest_counted(read: Read):
    orders = ORDERS.split("\n", 1)[0] + "\n" + "".join(f"{n},ann,mug,?,1,1\n" for n in range(1000))
    message = said(read, orders)
    assert "and 995 more" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("orders", "part"),
    [
        ("", "orders.csv"),
        ("\n\n", "orders.csv"),
        ("line,customer,sku,when,qty,paid\n", "holds no row"),
        ("line,customer,sku,when,qty,paid\n,,,,,\n\n", "holds no row"),
        (
            "line,customer,sku,when,qty,paid\n1,ann,mug\n",
            "more or fewer than 6 columns: row 2 has '1,ann,mug'",
        ),
        ("line,customer,sku,sku,when,qty,paid\n1,ann,mug,mug,2025-03-01,1,1\n", "'sku': stands there twice"),
        (b"line,customer,sku,when,qty,paid\n1,\xff\xfe,mug,2025-03-01,1,1\n", "UTF-8"),
        (ORDERS.replace("4.5", "4,5"), "more or fewer than 6 columns"),
        (ORDERS.replace("4.5", "£4.5"), "'paid': not finite numbers: row 2 has '£4.5'"),
        (ORDERS.replace("4.5", "inf"), "'paid': not finite numbers"),
        (ORDERS.replace("2025-03-01 10:00", "01/03/2025"), "'when': not a time: row 2 has '01/03/2025'"),
        (ORDERS.replace("2025-03-01 10:00", "0000-00-00"), "not a time"),
        (ORDERS.replace(",1,", ",-1,").replace(",2,", ",0,"), "no row is left"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_clear_error(read: Read, orders: str | bytes, part: str):
    assert part in said(read, orders)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(read: Read, tmp_path: Path):
    assert str(tmp_path) in said(read, ORDERS, path="other.csv")


def test_a_parquet_file_keeps_its_types_and_long_ids(read: Read, tmp_path: Path):
    long_id = 9_007_199_254_740_993  # one more than a float can hold
    table = pa.table(
        {
            "user_id": pa.array([long_id, None, 5]).filter(pa.array([True, False, True])),
            "item_id": pa.array(["mug", "pot"]).dictionary_encode(),
            "at": pa.array(["2025-03-01T10:00:00", "2025-07-01T10:00:00"]).cast(pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "orders.parquet")
    content = (tmp_path / "orders.parquet").read_bytes()
    events = read(content, name="orders.parquet", columns={}).interactions
    assert events["user_id"].tolist() == [str(long_id), "5"]
    assert events["at"].dt.hour.tolist() == [9, 8]


@pytest.mark.parametrize(
    ("column", "values", "part"),
    [
        ("at", pa.array([1_700_000_000]), "column 'at': is int64, not a timestamp"),
        ("item_id", pa.array([["mug"]]), "column 'item_id': is list"),
        ("user_id", pa.array([1.5]), "column 'user_id': not whole numbers: row 1 has '1.5'"),
        ("user_id", pa.array([None], pa.string()), "column 'user_id': empty cells: row 1"),
        ("quantity", pa.array([True]), "column 'quantity': is bool, not a number"),
    ],
)
def test_a_parquet_column_of_the_wrong_type_is_named(
    read: Read, tmp_path: Path, column: str, values: pa.Array, part: str
):
    good = {
        "user_id": pa.array(["ann"]),
        "item_id": pa.array(["mug"]),
        "at": pa.array([datetime(2025, 3, 1, tzinfo=UTC)]),
    }
    pq.write_table(pa.table(good | {column: values}), tmp_path / "orders.parquet")
    message = said(read, (tmp_path / "orders.parquet").read_bytes(), name="orders.parquet", columns={})
    assert part in message
    assert "problems" not in message


@pytest.mark.parametrize(
    "at",
    [
        pa.array(["2025-03-01"]).cast(pa.date32()),
        pa.array(["2025-03-01T00:00:00"]).cast(pa.timestamp("s")),
        pa.array([datetime(2025, 2, 28, 23, tzinfo=UTC)], pa.timestamp("ms", "America/New_York")),
        pa.array(["2025-02-28T23:00:00Z"], pa.large_string()),
    ],
)
def test_a_parquet_file_may_hold_its_times_in_any_type(read: Read, tmp_path: Path, at: pa.Array):
    pq.write_table(pa.table({"user_id": ["ann"], "item_id": ["mug"], "at": at}), tmp_path / "orders.parquet")
    content = (tmp_path / "orders.parquet").read_bytes()
    events = read(content, name="orders.parquet", columns={}).interactions
    assert str(events["at"][0]) == "2025-02-28 23:00:00+00:00"


def test_a_parquet_file_that_is_none_is_named(read: Read):
    assert "orders.parquet: cannot be read" in said(read, b"PAR1 not really", name="orders.parquet")


def test_other_delimiters_formats_and_compression_are_settings(read: Read):
    orders = b"customer;sku;when\nann;mug;31.12.2024 10:00\n"
    columns = {"user_id": "customer", "item_id": "sku", "at": "when"}
    events = read(
        gzip.compress(orders),
        name="orders.csv.gz",
        columns=columns,
        delimiter=";",
        time_format="%d.%m.%Y %H:%M",
    ).interactions
    assert str(events["at"][0]) == "2024-12-31 09:00:00+00:00"


def test_without_event_ids_an_event_keeps_its_id_in_a_longer_export(read: Read):
    """Sending last month's file again with this month's must not double last month."""
    columns = {ours: theirs for ours, theirs in COLUMNS.items() if ours != "event_id"}
    short = read(ORDERS, columns=columns).interactions["event_id"]
    longer = ORDERS.replace("1,ann", "0,eve,mug,2025-01-01,1,1\n1,ann")
    assert set(short) < set(read(longer, columns=columns).interactions["event_id"])


def test_items_and_users_that_the_other_files_lack_are_added(read: Read):
    files = {
        "items.csv": "item_id,title,category\nmug,Blue mug,kitchen\nfork,Fork,\n",
        "users.csv": "user_id,city\nann,Ulm\n",
    }
    tables = read(files=files, items={"path": "items.csv"}, users={"path": "users.csv"})
    assert dict(zip(tables.items["item_id"], tables.items["title"], strict=True)) == {
        "mug": "Blue mug",
        "fork": "Fork",
        "pot": "pot",
    }
    assert tables.users["user_id"].tolist() == ["ann", "bob"]
    assert tables.users["city"].tolist() == ["Ulm", None]


def test_returns_in_a_file_of_yours_are_left_out_and_counted(read: Read):
    assert len(read(ORDERS.replace("2,4.5", "-2,4.5")).interactions) == 2


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"source": "tables"}, "dataset.interactions"),
        ({"source": "tabels"}, "source"),
        ({"sorce": "tables"}, "sorce: unknown key"),
        ({"source": "tables", "interactions": {"path": "a", "timezone": "Berlin"}}, "not an IANA time zone"),
        ({"simulator": {"user": 3}}, "simulator.user: unknown key"),
    ],
)
def test_a_setting_that_is_wrong_is_named(table: dict[str, object], part: str):
    with pytest.raises(ConfigError, match=part):
        DatasetConfig.read(table, where="tonnage.toml [dataset]")


def test_a_mapping_to_a_name_that_no_table_has_is_named(read: Read):
    message = said(read, ORDERS, columns={**COLUMNS, "qunatity": "qty"})
    assert "qunatity" in message
    assert "quantity" in message
