"""Unfinished work of a killed run goes away; that of a running one stays."""

from pathlib import Path

from tonnage.packaging.scratch import scratch


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "work" / "left"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "half.so").touch()
    with scratch(tmp_path) as mine, scratch(tmp_path) as other:
        assert not left.exists()
        assert mine.exists()
        assert other.exists()
    assert [path.name for path in (tmp_path / "work").iterdir()] == [".lock"]
