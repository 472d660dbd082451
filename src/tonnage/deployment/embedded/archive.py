"""Docker-archives, written without a Docker: one layer, everything root's, no times."""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

FORMAT = "2"
"""Counts up when the same files are to give another archive."""

USER = 65532
"""The images' user, unless a pod says otherwise; the number that distroless images use."""


def write_archive(
    out: io.BufferedWriter, reference: str, entrypoint: list[str], files: Mapping[str, Path]
) -> None:
    """Write a docker-archive with one layer; the same files give the same bytes.

    Args:
        out: receives the archive.
        reference: name and tag of the image.
        entrypoint: what it runs.
        files: path in the image, without a leading slash, and the file, link or folder to put there.
    """
    with tempfile.TemporaryFile() as layer:
        with tarfile.open(fileobj=layer, mode="w") as archive:
            for entry in _entries(files):
                source = files.get(entry.name)
                if entry.isreg() and source is not None:
                    with source.open("rb") as content:
                        archive.addfile(entry, content)
                else:
                    archive.addfile(entry)
        layer.seek(0)
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
        size = layer.tell()
        layer.seek(0)
        config = json.dumps(_config(entrypoint, digest)).encode()
        # Containerd resumes what it received before under the same name: no two contents may share one.
        config_name, layer_name = f"{hashlib.sha256(config).hexdigest()}.json", f"{digest}.tar"
        contents = [{"Config": config_name, "RepoTags": [reference], "Layers": [layer_name]}]
        manifest = json.dumps(contents).encode()
        with tarfile.open(fileobj=out, mode="w") as archive:
            _add(archive, config_name, io.BytesIO(config), len(config))
            _add(archive, layer_name, layer, size)
            _add(archive, "manifest.json", io.BytesIO(manifest), len(manifest))


def _entries(files: Mapping[str, Path]) -> list[tarfile.TarInfo]:
    """The layer's entries, parents first, everything root's; a place for temporary files is always there."""
    folders = {"tmp": 0o1777}
    for name in files:
        folders |= {str(parent): 0o755 for parent in Path(name).parents if str(parent) not in {".", "tmp"}}
    entries = {name: _folder(name, mode) for name, mode in folders.items()}
    for name, path in files.items():
        if path.is_symlink():
            entries[name] = _symlink(name, str(path.readlink()))
        elif path.is_file():
            entries[name] = _file(name, path)
    return [entries[name] for name in sorted(entries)]


def _folder(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def _symlink(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def _file(name: str, path: Path) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o755
    return entry


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    archive.addfile(entry, content)


def _config(entrypoint: list[str], layer: str) -> dict[str, object]:
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "1980-01-01T00:00:00Z",
        "config": {"Entrypoint": entrypoint, "Env": [path], "User": str(USER), "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": "1980-01-01T00:00:00Z", "created_by": "tonnage cluster"}],
    }
