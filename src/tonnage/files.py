"""Files and directories that are whole, or not there: what a stage writes, it writes beside and renames."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """Yield an empty directory that takes the place of `target` when the block ends without an error.

    A reader sees the former content or the new, never a mixture. After an error, or when the process is
    killed, the former content stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        _sync(fresh)
        if target.exists():
            # Two renames: POSIX cannot swap a directory that is not empty. Between them there is none, and a
            # reader is told to run the stage again, which is true.
            former = fresh.with_suffix(".former")
            target.rename(former)
            fresh.rename(target)
            shutil.rmtree(former)
        else:
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` that takes its place when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield fresh
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def sha256_of(file: Path) -> str:
    """Digest of a file's content, hex; read in pieces, so that size does not matter."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sync(directory: Path) -> None:
    """Make what was written survive a power cut before the rename makes it visible."""
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb") as content:
                os.fsync(content.fileno())


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where what is dear to make outlives a project: `$XDG_CACHE_HOME/tonnage`, or `~/.cache/tonnage`."""
    home = Path(environment.get("HOME") or Path.home())
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "tonnage"
