"""A layer's bytes follow from its files and from nothing else."""

import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from tonnage.packaging.layers import Layer, Tree, write_layer


def _layer(*trees: Tree) -> tuple[Layer, dict[str, tarfile.TarInfo]]:
    blob = io.BytesIO()
    layer = write_layer("code", trees, blob)
    with pa.CompressedInputStream(pa.BufferReader(blob.getvalue()), "zstd") as plain:
        content = io.BytesIO(plain.read())
    with tarfile.open(fileobj=content) as archive:
        return layer, {member.name: member for member in archive}


def _files(directory: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"content of {name.rpartition('/')[2]}", encoding="ascii")
    return directory


def test_the_same_files_give_the_same_digest_whoever_made_them_and_when(tmp_path: Path) -> None:
    """Otherwise each packaging would be another image, and every pod would restart for nothing."""
    one = _files(tmp_path / "one", ("a/x.py", "a/y.py", "b.py"))
    two = _files(tmp_path / "two", ("b.py", "a/y.py", "a/x.py"))
    os.utime(two / "b.py", (1, 1))
    (two / "a" / "x.py").chmod(0o600)
    assert _layer(Tree(source=one, at="/srv"))[0] == _layer(Tree(source=two, at="/srv"))[0]


@pytest.mark.parametrize("change", ["content", "name", "executable"])
def test_a_change_that_a_process_could_see_changes_the_digest(tmp_path: Path, change: str) -> None:
    one = _files(tmp_path / "one", ("a.py",))
    two = _files(tmp_path / "two", ("a.py",))
    match change:
        case "content":
            (two / "a.py").write_text("another", encoding="ascii")
        case "name":
            (two / "a.py").rename(two / "b.py")
        case "executable":
            (two / "a.py").chmod(0o755)
    assert _layer(Tree(source=one, at="/srv"))[0].digest != _layer(Tree(source=two, at="/srv"))[0].digest


def test_files_belong_to_root_and_the_process_can_only_read_them(tmp_path: Path) -> None:
    source = _files(tmp_path, ("a/x.py",))
    _, members = _layer(Tree(source=source, at="/home/bentoml/bento"))
    assert set(members) == {
        "home", "home/bentoml", "home/bentoml/bento", "home/bentoml/bento/a", "home/bentoml/bento/a/x.py"
    }  # fmt: skip
    assert {(member.uid, member.gid, member.mode & 0o022) for member in members.values()} == {(0, 0, 0)}


def test_a_root_file_system_keeps_its_modes_but_no_way_to_become_root(tmp_path: Path) -> None:
    source = _files(tmp_path, ("bin/su", "etc/shadow"))
    (source / "bin/su").chmod(0o4755)
    (source / "etc/shadow").chmod(0o640)
    (source / "tmp").mkdir()
    (source / "tmp").chmod(0o1777)
    _, members = _layer(Tree(source=source, at="/", owners=True))
    modes = {name: member.mode for name, member in members.items() if name in {"bin/su", "etc/shadow", "tmp"}}
    assert modes == {"bin/su": 0o755, "etc/shadow": 0o640, "tmp": 0o1777}


def test_links_stay_links_and_what_is_excluded_stays_out(tmp_path: Path) -> None:
    source = _files(tmp_path, ("lib/a.so", "proc/1/mem"))
    (source / "lib/b.so").symlink_to("a.so")
    (source / "lib/c.so").hardlink_to(source / "lib/a.so")
    layer, members = _layer(Tree(source=source, at="/", excluded=frozenset({"proc"})))
    assert members["lib/b.so"].linkname == "a.so"
    assert members["lib/c.so"].linkname == "lib/a.so"
    assert not any(name.startswith("proc") for name in members)
    assert layer.unpacked == (source / "lib/a.so").stat().st_size
