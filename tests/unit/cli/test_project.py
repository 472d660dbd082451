"""The project a command works on."""

from pathlib import Path

import pytest

from tonnage.cli.project import Project
from tonnage.errors import ConfigError


def test_a_project_without_a_file_has_every_default(tmp_path: Path):
    project = Project.open(tmp_path / "tonnage.toml")
    assert project.tables == {}
    assert project.data == tmp_path / "build" / "data"


def test_a_file_that_was_asked_for_by_name_must_be_there(tmp_path: Path):
    """Falling back to the defaults would train on the wrong data."""
    with pytest.raises(ConfigError, match=r"no such file.*shop\.toml"):
        Project.open(tmp_path / "shop.toml")


def test_unknown_tables_are_named(tmp_path: Path):
    file = tmp_path / "tonnage.toml"
    file.write_text("[trainning]\nfactors = 3\n")
    with pytest.raises(ConfigError, match=r"\[trainning\].*Known tables: \[dataset\]"):
        Project.open(file)


def test_a_value_where_a_table_belongs_is_named(tmp_path: Path):
    file = tmp_path / "tonnage.toml"
    file.write_text("training = 3\n")
    with pytest.raises(ConfigError, match=r"training must be a table"):
        Project.open(file)
