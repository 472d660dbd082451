"""Running a project again does only what changed."""

from pathlib import Path

import pytest

from tonnage.cli.stages import key_of, unless_done
from tonnage.telemetry import Silent


class Stage:
    """A stage that counts its runs and leaves a directory."""

    def __init__(self, directory: Path, *, fails: bool = False) -> None:
        self.directory, self.fails, self.runs = directory, fails, 0

    def __call__(self) -> None:
        self.runs += 1
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.fails:
            raise RuntimeError("interrupted")


def test_the_same_key_does_nothing_and_another_runs_again(tmp_path: Path):
    stage = Stage(tmp_path / "build" / "data")
    for key in ("a", "a", "b"):
        unless_done("data", key, stage.directory, Silent(), stage)
    assert stage.runs == 2


def test_a_result_that_was_removed_is_made_again(tmp_path: Path):
    stage = Stage(tmp_path / "build" / "data")
    unless_done("data", "a", stage.directory, Silent(), stage)
    stage.directory.rmdir()
    unless_done("data", "a", stage.directory, Silent(), stage)
    assert stage.runs == 2


def test_an_interrupted_stage_runs_again(tmp_path: Path):
    """Its directory may be there from before; only a finished run counts."""
    directory = tmp_path / "build" / "data"
    unless_done("data", "a", directory, Silent(), Stage(directory))
    with pytest.raises(RuntimeError):
        unless_done("data", "b", directory, Silent(), Stage(directory, fails=True))
    again = Stage(directory)
    unless_done("data", "a", directory, Silent(), again)
    assert again.runs == 1


def test_a_key_does_not_depend_on_the_order_of_settings():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
