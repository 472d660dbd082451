"""What a stage writes is whole, or not there."""

from pathlib import Path

import pytest

from tonnage.files import sha256_of, whole_directory, whole_file


def test_a_directory_takes_the_place_of_the_former(tmp_path: Path):
    target = tmp_path / "data"
    for content in ("old", "new"):
        with whole_directory(target) as fresh:
            (fresh / content).write_text(content)
    assert [file.name for file in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_after_an_error_the_former_content_stands_and_nothing_else_is_left(tmp_path: Path):
    """An interrupted stage must not leave half a result that the next stage believes."""
    target = tmp_path / "data"
    with whole_directory(target) as fresh:
        (fresh / "old").touch()
    with pytest.raises(KeyboardInterrupt), whole_directory(target) as fresh:
        (fresh / "new").touch()
        raise KeyboardInterrupt
    assert [file.name for file in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path):
    target = tmp_path / "values.yaml"
    with whole_file(target) as fresh:
        fresh.write_text("a: 1")
    with pytest.raises(KeyboardInterrupt), whole_file(target) as fresh:
        fresh.write_text("a:")
        raise KeyboardInterrupt
    assert target.read_text() == "a: 1"
    assert list(tmp_path.iterdir()) == [target]


def test_a_digest_is_that_of_the_content(tmp_path: Path):
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c149afb")
