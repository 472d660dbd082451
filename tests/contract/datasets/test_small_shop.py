"""The example that the README shows is what the simulator makes, and loads as it stands."""

import json
import shutil
from pathlib import Path

import pytest
from tests.factories.small_shop import DIRECTORY, exports
from typer.testing import CliRunner

from tonnage.cli import build


@pytest.mark.parametrize("name", ["orders.csv", "items.csv", "customers.csv"])
def test_the_example_is_what_the_simulator_makes(name: str):
    """Run `python -m tests.factories.small_shop` after a change of the simulator."""
    assert (DIRECTORY / name).read_text(encoding="utf-8") == exports()[name]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shop = shutil.copytree(DIRECTORY, tmp_path / "shop", ignore=shutil.ignore_patterns("build"))
    return shop / "tonnage.toml"


def test_the_verb_leaves_tables_and_prints_the_report(project: Path):
    result = CliRunner().invoke(build(), ["data", "--project", str(project), "--output", "json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    lines = (DIRECTORY / "orders.csv").read_text().count("\n") - 1
    assert (report["interactions"], report["items"], report["users"]) == (lines, 120, 400)
    kept = sorted(path.name for path in (project.parent / "build" / "data").iterdir())
    assert kept == ["interactions.parquet", "items.parquet", "report.json", "users.parquet"]


def test_a_shop_is_simulated_on_request(project: Path):
    project.write_text(project.read_text() + "\n[dataset.simulator]\nusers = 40\nitems = 30\ndays = 20\n")
    result = CliRunner().invoke(build(), ["data", "--project", str(project), "--simulate"])
    assert result.exit_code == 0, result.output
    assert "simulated shop, seed 7" in result.stdout


def test_bad_rows_leave_the_former_tables(project: Path):
    runner = CliRunner()
    assert runner.invoke(build(), ["data", "--project", str(project)]).exit_code == 0
    before = (project.parent / "build" / "data" / "interactions.parquet").read_bytes()
    with (project.parent / "orders.csv").open("a") as orders:
        orders.write("x-1,u0000001,i0000001,tomorrow,1,1.0\n")
    result = runner.invoke(build(), ["data", "--project", str(project)])
    assert "'bought_at': not a time" in str(result.exception)
    assert (project.parent / "build" / "data" / "interactions.parquet").read_bytes() == before
