"""The stages of one project, each done only when something it depends on has changed.

A stage's key is a digest of its settings, its own source code, what it reads and the keys before it.
The key of the last finished run stands beside the stage's result; the same key means there is nothing to do.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import tonnage
from tonnage.telemetry import Progress


def source_digest(*subpackages: str) -> str:
    """Digest of the source files of subpackages of `tonnage`, hex."""
    digest = hashlib.sha256()
    package = Path(tonnage.__file__).parent
    for subpackage in subpackages:
        for file in sorted((package / subpackage).rglob("*.py")):
            digest.update(file.relative_to(package).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def key_of(*parts: object) -> str:
    """One key for everything a stage depends on; the parts must be JSON or have a `str`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def unless_done(name: str, key: str, directory: Path, progress: Progress, work: Callable[[], object]) -> None:
    """Run a stage, unless its last finished run had the same key.

    Args:
        name: what people read.
        key: everything the stage depends on, from `key_of`.
        directory: where the stage leaves its result, by renaming it into place.
        progress: who is told.
        work: does the stage.
    """
    # Beside the directory, not in it: the stage replaces the directory as a whole.
    record = directory.parent / f".{directory.name}.key"
    if directory.exists() and record.exists() and record.read_text(encoding="ascii") == key:
        progress.say(f"{name}: unchanged")
        return
    record.unlink(missing_ok=True)
    with progress.stage(name):
        work()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(key, encoding="ascii")


def stamp(path: Path) -> list[object]:
    """What stands for a file's content in a key, without reading it: size and time of change."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]
