"""What is built once, and how it is packed."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tonnage.deployment.embedded.archive import write_archive
from tonnage.deployment.embedded.artifacts import made


def test_a_thing_is_made_once_and_again_when_its_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "go.mod"
    runs: list[Path] = []

    def recipe(into: Path) -> None:
        runs.append(into)
        (into / "program").touch()

    source.write_text("v1")
    first = made(tmp_path / "cache", "tool", [source, "flags"], recipe)
    assert made(tmp_path / "cache", "tool", [source, "flags"], recipe) == first
    source.write_text("v2")
    assert made(tmp_path / "cache", "tool", [source, "flags"], recipe) != first
    assert len(runs) == 2


def test_a_build_that_failed_is_not_there(tmp_path: Path) -> None:
    """A half-linked program taken for a whole one would fail at every later start."""

    def recipe(into: Path) -> None:
        (into / "program").touch()
        raise RuntimeError("no space left")

    with pytest.raises(RuntimeError):
        made(tmp_path, "tool", ["v1"], recipe)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A program in a folder, with a link to it."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to("program")
    return {"usr/bin/program": program, "usr/bin/link": link}


def _archive(files: dict[str, Path]) -> bytes:
    out = io.BytesIO()
    write_archive(out, "localhost/tonnage/tool:1", ["/usr/bin/program"], files)
    return out.getvalue()


def test_the_same_files_give_the_same_archive(files: dict[str, Path]) -> None:
    """Else every rebuild would be a new image with a new digest."""
    before = _archive(files)
    os.utime(files["usr/bin/program"], (0, 0))
    assert _archive(files) == before


def test_an_archive_holds_the_program_its_link_and_a_place_for_temporary_files(
    files: dict[str, Path],
) -> None:
    with tarfile.open(fileobj=io.BytesIO(_archive(files))) as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]
        config = json.load(image.extractfile(manifest["Config"]))
        layer = image.extractfile(manifest["Layers"][0]).read()
    assert manifest["RepoTags"] == ["localhost/tonnage/tool:1"]
    assert config["config"]["User"] not in {"", "0", "root"}
    with tarfile.open(fileobj=io.BytesIO(layer)) as contents:
        entries = {entry.name: entry for entry in contents}
        assert contents.extractfile("usr/bin/program").read() == b"\x7fELF"
    assert entries["usr/bin/program"].mode & 0o111
    assert entries["usr/bin/link"].linkname == "program"
    assert entries["tmp"].mode == 0o1777
    assert {entry.uid for entry in entries.values()} == {0}


def test_no_two_contents_share_a_name(files: dict[str, Path]) -> None:
    """Containerd takes what it once received under a name for the beginning of the next of that name."""
    other = {**files, "usr/bin/other": files["usr/bin/program"]}
    assert _names(_archive(files)) & _names(_archive(other)) == {"manifest.json"}


def _names(archive: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as contents:
        return set(contents.getnames())
