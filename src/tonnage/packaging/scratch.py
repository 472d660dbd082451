"""Room for unfinished work, found and cleared by the next run when this one is killed."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Yield an empty directory under `cache/work`; it is removed when the block ends.

    Directories whose process was killed are removed too: a lock on each tells who still works in it.
    """
    work = cache / "work"
    with alone_in(work):
        _clear_abandoned(work)
        directory = Path(tempfile.mkdtemp(dir=work))
        lock = (directory / ".lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Wait until no other process is in the block with the same directory, then keep others waiting."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear_abandoned(work: Path) -> None:
    for held in work.glob("*/.lock"):
        # Gone already when its owner has just finished; locked when its owner still works.
        with suppress(FileNotFoundError, BlockingIOError), held.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(held.parent, ignore_errors=True)
