"""Image layers: one tree of files as one reproducible archive.

The same files give the same bytes: sorted, without times, names or the maker's ids. Compressed with zstd,
which containerd, Docker, Podman and registries read, and which takes seconds where gzip takes a minute.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

TIME_S = 315_532_800
"""Every file's time: 1980, the oldest that a zip archive can hold too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer as a registry knows it.

    Attributes:
        role: what it holds: `base`, `environment`, `code`, `model`, or `people` for a load test.
        digest: `sha256:...` of the compressed archive, its name as a blob.
        size: bytes of the compressed archive.
        diff_id: `sha256:...` of the archive itself.
        unpacked: bytes of the files in it.
    """

    role: str
    digest: str
    size: int
    diff_id: str
    unpacked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Files to put into an image.

    Attributes:
        source: directory whose content is taken.
        at: where it goes, absolute.
        owners: keep user, group and mode, as a root file system needs; otherwise all is root's and readable
            by everybody.
        excluded: paths below `source` that are left out, with everything below them.
    """

    source: Path
    at: str
    owners: bool = False
    excluded: frozenset[str] = frozenset()


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashed:
    """A file that is only written, and whose digest and size are known at the end."""

    def __init__(self, below: _Sink) -> None:
        self._below = below
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        self._below.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def write_layer(role: str, trees: Sequence[Tree], out: IO[bytes]) -> Layer:
    """Write trees as one compressed archive.

    Args:
        role: what the layer holds, in one word.
        trees: what goes in; later ones must not repeat paths of earlier ones.
        out: receives the bytes.
    """
    blob = _Hashed(out)
    with pa.CompressedOutputStream(pa.PythonFile(_Writable(blob), mode="w"), "zstd") as compressed:
        archive = _Hashed(compressed)
        unpacked = _write_archive(trees, archive)
    return Layer(role=role, digest=blob.digest, size=blob.size, diff_id=archive.digest, unpacked=unpacked)


class _Writable:
    """What Arrow asks of a Python file before it writes to it."""

    closed = False

    def __init__(self, below: _Hashed) -> None:
        self.write = below.write

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The owner of the file below closes it."""


def _write_archive(trees: Sequence[Tree], out: _Hashed) -> int:
    unpacked = 0
    made: set[str] = set()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for tree in trees:
            for parent in _parents(tree.at):
                if parent not in made:
                    archive.addfile(_directory(parent))
                    made.add(parent)
            for info, file in _members(tree):
                unpacked += info.size
                if file is None:
                    archive.addfile(info)
                else:
                    with file.open("rb") as content:
                        archive.addfile(info, content)
    return unpacked


def _parents(at: str) -> list[str]:
    parts = at.strip("/").split("/") if at.strip("/") else []
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _directory(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, TIME_S
    return info


def _members(tree: Tree) -> Iterator[tuple[tarfile.TarInfo, Path | None]]:
    linked: dict[int, str] = {}
    for relative in _walk(tree.source, "", tree.excluded):
        file = tree.source / relative
        status = file.lstat()
        info = tarfile.TarInfo(f"{tree.at.strip('/')}/{relative}".lstrip("/"))
        info.mtime = TIME_S
        if tree.owners:
            # No set-user-id programs: a process that is nobody in particular needs no way to become root.
            info.uid, info.gid, info.mode = status.st_uid, status.st_gid, status.st_mode & 0o1777
        else:
            info.mode = 0o755 if status.st_mode & 0o100 else 0o644
        if file.is_symlink():
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(file.readlink()), 0o777
            yield info, None
        elif file.is_dir():
            info.type = tarfile.DIRTYPE
            yield info, None
        elif file.is_file():
            if status.st_ino in linked:
                info.type, info.linkname = tarfile.LNKTYPE, linked[status.st_ino]
                yield info, None
            else:
                info.size = status.st_size
                linked[status.st_ino] = info.name
                yield info, file


def _walk(root: Path, relative: str, excluded: frozenset[str]) -> Iterator[str]:
    with os.scandir(root / relative) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        path = f"{relative}/{child.name}".lstrip("/")
        if path in excluded:
            continue
        yield path
        if child.is_dir(follow_symlinks=False):
            yield from _walk(root, path, excluded)


def key_of(*parts: object) -> str:
    """One key for everything that a layer depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def digest_of(directory: Path, *, excluded: frozenset[str] = frozenset()) -> str:
    """Digest of a directory's files: names and contents, hex."""
    digest = hashlib.sha256()
    for relative in _walk(directory, "", excluded):
        file = directory / relative
        if file.is_file():
            digest.update(f"{relative}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
