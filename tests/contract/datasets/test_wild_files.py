"""Any bytes at all are three valid tables or one DataError, and what was there before stays whole."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tonnage.datasets.config import DatasetConfig, InteractionsFile
from tonnage.datasets.loading import load
from tonnage.datasets.tables import checked, read, write
from tonnage.errors import DataError
from tonnage.telemetry import Silent

HEADER = "user_id,item_id,at,quantity,price"
MOMENTS = [
    "2025-03-01T10:00:00Z",
    "2025-03-30 02:30",
    "2025-10-26 02:30",
    "9999-12-31",
    "1600-01-01",
    "x",
    "",
    "20250301T100000Z",
    "2025-03-01T10+02",
]
NUMBERS = ["1", "-1", "0", "1e400", "nan", "0x10", "1_000", "٣", "", " 2 "]

anything = st.one_of(st.sampled_from(MOMENTS), st.sampled_from(NUMBERS), st.text(max_size=12))
words = st.text(st.characters(exclude_characters=',"\r\n', exclude_categories=["Cs"]), min_size=1, max_size=5)
wild = st.lists(anything, min_size=4, max_size=6)
likely = st.tuples(
    words, words, st.sampled_from(MOMENTS), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)
).map(list)
good = st.tuples(words, words, st.sampled_from(MOMENTS[:3]), st.just("1"), st.sampled_from(["1", ""])).map(
    list
)
rows = st.one_of(
    st.lists(good, min_size=1, max_size=5), st.lists(likely, max_size=2), st.lists(wild, max_size=8)
)


def either_tables_or_an_error(name: str, content: bytes, zone: str | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / name).write_bytes(content)
        config = DatasetConfig(source="tables", interactions=InteractionsFile(path=Path(name), timezone=zone))
        try:
            loaded = load(config, root=root, progress=Silent())
        except DataError as error:
            assert name in str(error)  # noqa: PT017 - both outcomes are right, each with its own promise
            assert not (root / "data").exists()
            event("an error")
            return
        event("tables")
        checked(loaded.tables)
        write(loaded, root / "data")
        assert len(read(root / "data").interactions) == loaded.report.interactions


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows, st.sampled_from([None, "Europe/Berlin"]), st.sampled_from(["\n", "\r\n", "\r"]))
@example([["ann", "mug", "2025-03-30 02:30", "1", "2"]], "Europe/Berlin", "\n")
@example([["ann\x00", "mug", "2025-03-30T02:30Z", "1", "2"]], None, "\n")
@example([["ann", "mug", "9999-12-31", "1", "2"]], "Europe/Berlin", "\n")
@example(
    [["ann", "mug", "1600-01-01T00:00:00Z", "1", "2"], ["ann", "mug", "2025-01-01", "1", "2"]],
    "Asia/Tokyo",
    "\n",
)
def test_any_cells(table: list[list[str]], zone: str | None, newline: str):
    lines = [HEADER, *(",".join(row) for row in table)]
    either_tables_or_an_error("orders.csv", newline.join(lines).encode("utf-8", "surrogatepass"), zone)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["orders.csv", "orders.parquet", "orders.csv.gz", "orders"]))
def test_any_bytes(content: bytes, name: str):
    either_tables_or_an_error(name, content, None)
