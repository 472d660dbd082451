"""What is written comes back; what fails leaves what was there."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.report import Account
from tonnage.datasets.simulator import Simulator
from tonnage.datasets.tables import NAMES, Loaded, checked, read, read_report, write
from tonnage.errors import DataError, NotFoundError


@pytest.fixture(scope="module")
def shop() -> Loaded:
    return Simulator(SimulatorConfig(users=30, items=20, days=10, sessions_per_user=3)).tables()


def test_what_is_written_comes_back(shop: Loaded, tmp_path: Path):
    write(shop, tmp_path / "data")
    again = read(tmp_path / "data")
    for name in NAMES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(shop.tables, name))
    assert read_report(tmp_path / "data") == shop.report


def test_a_write_that_fails_leaves_the_former_tables(shop: Loaded, tmp_path: Path):
    write(shop, tmp_path / "data")
    broken = pd.DataFrame({"user_id": [object()]})
    with pytest.raises(Exception, match="object"):
        write(replace(shop, tables=replace(shop.tables, users=broken)), tmp_path / "data")
    assert read_report(tmp_path / "data") == shop.report
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_tables_that_are_not_there_say_how_to_make_them(tmp_path: Path):
    with pytest.raises(NotFoundError, match="tonnage data"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("user_id", ""),
        ("user_id", None),
        ("quantity", 0.0),
        ("quantity", float("inf")),
        ("price", -1.0),
        ("at", pd.NaT),
    ],
)
def test_a_broken_promise_is_found_whatever_the_source(shop: Loaded, column: str, value: object):
    """The last gate: later stages trust the tables blindly."""
    events = shop.tables.interactions.copy()
    events.loc[3, column] = value
    with pytest.raises(DataError, match=column):
        checked(replace(shop.tables, interactions=events))


def test_no_interaction_at_all_is_an_error(shop: Loaded):
    empty = replace(shop.tables, interactions=shop.tables.interactions[:0])
    with pytest.raises(DataError, match="no interaction"):
        Loaded.of(empty, Account(), source="tables", origin="x", rows_read=0, replay=False)
