"""A stage's table in tonnage.toml."""

from pathlib import Path

import pytest

from tonnage.errors import ConfigError
from tonnage.settings import Section, read_toml


class Training(Section):
    factors: int = 64
    seed: int = 1


def test_an_unknown_key_is_named_with_its_table_and_the_known_keys():
    """A misspelt key must never be a silent default."""
    with pytest.raises(ConfigError, match=r"tonnage\.toml \[training\]: factor: unknown key.*factors, seed"):
        Training.read({"factor": 3}, where="tonnage.toml [training]")


def test_every_wrong_value_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Training.read({"factors": "many", "seed": "none"}, where="here")
    assert "factors" in str(caught.value)
    assert "seed" in str(caught.value)


def test_a_broken_file_is_named_with_the_line(tmp_path: Path):
    file = tmp_path / "tonnage.toml"
    file.write_text("[training]\nfactors = = 3\n")
    with pytest.raises(ConfigError, match=r"line 2.*tonnage\.toml"):
        read_toml(file)
