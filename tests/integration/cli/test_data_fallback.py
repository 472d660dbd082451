"""Where Online Retail cannot be had, a shop is simulated, and everybody is told."""

from pathlib import Path

import pytest

from tonnage.cli import stages
from tonnage.cli.project import Project
from tonnage.datasets.tables import read_report
from tonnage.errors import DependencyError

NOWHERE = '[dataset]\npath = "not-here.parquet"\ncache = "cache"\nurl = "http://127.0.0.1:9/data.csv"\n'
SMALL = "[dataset.simulator]\nusers = 30\nitems = 40\ndays = 20\n"


class Heard:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str) -> "Heard":
        return self

    def say(self, line: str) -> None:
        self.lines.append(line)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose data are not here, and cannot be downloaded."""
    file = tmp_path / "tonnage.toml"
    file.write_text(NOWHERE + SMALL)
    return file


def test_the_simulator_takes_its_place_and_every_later_run_says_so(project: Path):
    """Otherwise somebody reads made-up figures as those of a real shop."""
    for _ in range(2):
        heard = Heard()
        stages.data(Project.open(project), heard)
        assert any("simulator" in line for line in heard.lines)
    assert read_report(project.parent / "build" / "data").source == "simulator"


def test_a_source_that_was_named_is_never_replaced(project: Path):
    """Not even when the simulator's shop lies there from before."""
    stages.data(Project.open(project), Heard())
    project.write_text(NOWHERE + 'source = "online-retail"\n' + SMALL)
    with pytest.raises(DependencyError):
        stages.data(Project.open(project), Heard())
