"""What was swapped, where every worker of a pod sees it: a small file that they all map.

The host makes it before it forks, so a worker that is forked later finds what came before it. It has no name
in any directory and goes with the last process. Whoever writes, or reads more than two numbers, holds a lock
that the kernel takes back when its owner dies.
"""

import fcntl
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tonnage.domain import Floats
from tonnage.errors import TonnageError

SLOTS = 1024
"""Item vectors that can be replaced one by one before a whole index is due."""

WORKERS = 256
"""Workers that can be told apart, those that died included until their place is needed."""

PATH_BYTES = 4096
"""Longest path of an index, in UTF-8."""


class SwapConflictError(TonnageError):
    """The pod cannot take this swap now."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class Version:
    """What a worker has seen: how many indexes, and how many vectors."""

    index: int = 0
    vector: int = 0


class Board:
    """The pod's swaps so far; made before the fork, used by every worker.

    Args:
        dimensions: components of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        layout = np.dtype(
            [
                ("index", np.int64),
                ("vector", np.int64),
                ("path_bytes", np.int64),
                ("path", np.uint8, PATH_BYTES),
                ("workers", [("pid", np.int64), ("index", np.int64), ("vector", np.int64)], WORKERS),
                ("slots", [("since", np.int64), ("row", np.int32), ("f32", np.float32, dimensions)], SLOTS),
            ]
        )
        self._file, path = tempfile.mkstemp(prefix="tonnage-swaps-")
        # Stays open as long as the board is there: its lock is the board's.
        weakref.finalize(self, os.close, self._file)
        Path(path).unlink()
        os.truncate(self._file, layout.itemsize)
        self._state = np.frombuffer(mmap.mmap(self._file, layout.itemsize), layout)[0]
        # The file's lock excludes other processes, this one the other threads of the same.
        self._threads = threading.Lock()

    @property
    def version(self) -> Version:
        """What there is to see."""
        return Version(int(self._state["index"]), int(self._state["vector"]))

    def put_vector(self, row: int, vector: Floats) -> Version:
        """Replace one item's vector.

        Raises:
            SwapConflictError: too many were replaced since the index was.
        """
        with self._locked():
            slots = self._state["slots"]
            free = np.flatnonzero((slots["since"] == 0) | (slots["row"] == row))
            same = free[(slots["since"][free] > 0)]
            if not len(free):
                raise SwapConflictError(
                    f"{SLOTS} item vectors were replaced one by one, and more would slow every search",
                    hint="Put a whole index instead.",
                )
            slot = slots[same[0] if len(same) else free[0]]
            slot["f32"], slot["row"] = vector, row
            slot["since"] = self._state["vector"] + 1
            self._state["vector"] += 1
            return self.version

    def put_index(self, path: str) -> Version:
        """Replace the whole index; vectors that were replaced one by one before are gone with the old one.

        Raises:
            SwapConflictError: a worker still has the index before the one that it would replace.
        """
        written = path.encode()
        if len(written) > PATH_BYTES:
            raise SwapConflictError("the path of the index is too long", limit_bytes=PATH_BYTES)
        with self._locked():
            if any(seen.index < self._state["index"] for seen in self._seen()):
                raise SwapConflictError("another index is being swapped in", hint="Try again in a moment.")
            self._state["slots"]["since"] = 0
            self._state["path"][: len(written)] = np.frombuffer(written, np.uint8)
            self._state["path_bytes"] = len(written)
            self._state["index"] += 1
            return self.version

    def vectors_since(self, version: Version) -> tuple[list[tuple[int, Floats]], Version]:
        """Rows and vectors that were put after a version, and the version with which they are complete."""
        with self._locked():
            slots = self._state["slots"]
            fresh = np.flatnonzero(slots["since"] > version.vector)
            return [(int(slots["row"][at]), slots["f32"][at].copy()) for at in fresh], self.version

    def path(self) -> str:
        """Where the index lies that was put last."""
        with self._locked():
            return bytes(self._state["path"][: self._state["path_bytes"]]).decode()

    def enrol(self) -> int:
        """Take a place among the workers, as one that has seen nothing."""
        with self._locked():
            pids = self._state["workers"]["pid"]
            place = next(at for at in range(WORKERS) if not _is_alive(int(pids[at])))
            self._state["workers"][place] = (os.getpid(), 0, 0)
            return place

    def saw(self, place: int, version: Version) -> None:
        """Tell that this worker serves a version."""
        self._state["workers"][place] = (os.getpid(), version.index, version.vector)

    def everyone_saw(self, version: Version) -> bool:
        """Whether every worker that lives serves a version, or a later one."""
        return all(seen.index >= version.index and seen.vector >= version.vector for seen in self._seen())

    def _seen(self) -> list[Version]:
        return [
            Version(int(each["index"]), int(each["vector"]))
            for each in self._state["workers"]
            if _is_alive(int(each["pid"]))
        ]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _is_alive(pid: int) -> bool:
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
