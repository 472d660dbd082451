"""What a stranger finds in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_locks_have_hashes_and_no_index_address():
    """A lock that records hosts works in one place only."""
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert text.count("--hash=sha256:") >= len(re.findall(r"^[\w.\[\],-]+==", text, re.MULTILINE)), (
            lock.name
        )


def test_every_make_target_describes_itself():
    text = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split())
    described = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert phony == described


def test_the_version_stands_once_and_the_changelog_names_it():
    import tonnage

    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert version[1] == tonnage.__version__
    assert f"## [{tonnage.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("target", ["up", "down", "serve", "test", "measure-voyage"])
def test_the_readme_names_the_targets_people_need(target: str):
    assert f"make {target}" in (ROOT / "README.md").read_text()


def test_nothing_big_and_no_path_of_a_machine_is_tracked():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [
        name for name in tracked if (ROOT / name).exists() and (ROOT / name).stat().st_size > 2_000_000
    ] == []
    assert "uv.lock" not in tracked
