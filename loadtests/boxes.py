"""A memory limit for a few processes of this machine, as a container has it: a cgroup, version 2 or 1."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tonnage.deployment.embedded import cgroups
from tonnage.errors import RequirementError


@dataclass(frozen=True, slots=True)
class Box:
    """One memory cgroup.

    Attributes:
        directory: of it.
        v2: whether it is of version 2.
    """

    directory: Path
    v2: bool

    @property
    def procs(self) -> Path:
        """The file that takes the ids of processes that are to be in it."""
        return self.directory / "cgroup.procs"

    def used(self) -> int:
        """Bytes charged now, page cache included."""
        return self._number("memory.current" if self.v2 else "memory.usage_in_bytes")

    def peak(self) -> int | None:
        """Most bytes that were ever charged; None where the kernel does not tell."""
        try:
            return self._number("memory.peak" if self.v2 else "memory.max_usage_in_bytes")
        except OSError:
            return None

    def killed(self) -> int:
        """How many processes the kernel killed for want of memory."""
        events = "memory.events" if self.v2 else "memory.oom_control"
        lines = (self.directory / events).read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def _number(self, name: str) -> int:
        return int((self.directory / name).read_text(encoding="ascii"))


@contextmanager
def boxed(limit: int, *, root: Path = cgroups.ROOT) -> Iterator[Box]:
    """A cgroup with a memory limit and no swap, until the block ends; its processes must have ended then.

    Args:
        limit: bytes.
        root: where the cgroup file system is mounted.

    Raises:
        RequirementError: no memory cgroup can be made here; it takes root.
    """
    v2 = "memory" in _controllers(root)
    directory = (root if v2 else root / "memory") / f"tonnage-measure-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        raise RequirementError(
            "no memory cgroup can be made",
            hint="Run as root, outside of a container.",
            where=directory.parent,
        ) from error
    try:
        if v2:
            (directory / "memory.max").write_text(str(limit))
            (directory / "memory.swap.max").write_text("0")
        else:
            (directory / "memory.limit_in_bytes").write_text(str(limit))
        yield Box(directory, v2)
    finally:
        cgroups.remove(directory.name, root)


def _controllers(root: Path) -> list[str]:
    try:
        return (root / "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        return []


def forget(directory: Path) -> None:
    """Drop the files of a directory from the page cache, so that whoever reads them next is charged."""
    os.sync()
    for file in directory.rglob("*"):
        if file.is_file():
            with file.open("rb") as content:
                os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
