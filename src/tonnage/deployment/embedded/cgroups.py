"""Control groups: the one place that knows which processes are this cluster's."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tonnage.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")
TRACKER = "pids"
"""On cgroup v1, the hierarchy that is asked who belongs to us; on v2 there is only one."""

KILL_TIMEOUT_S = 20.0


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The mounted hierarchies: the root itself on cgroup v2, one per controller on v1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(
        path for path in root.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()
    )


def tracking(group: str, root: Path = ROOT) -> Path:
    """The directory of a group that lists its processes."""
    return (root if (root / "cgroup.controllers").exists() else root / TRACKER) / group


def create(group: str, root: Path = ROOT) -> None:
    """Make the group in every hierarchy, with one child for the cluster's own processes."""
    if (root / "cgroup.controllers").exists():
        _delegate(root)
    for hierarchy in hierarchies(root):
        (hierarchy / group).mkdir(exist_ok=True)
    (tracking(group, root) / "node").mkdir(exist_ok=True)
    if (root / "cgroup.controllers").exists():
        _delegate(root / group)


def processes(group: str, root: Path = ROOT) -> set[int]:
    """Every process in the group and below it: the cluster's own, and all containers'."""
    found: set[int] = set()
    for directory in _tree(tracking(group, root)):
        with suppress(FileNotFoundError):
            found.update(int(pid) for pid in (directory / "cgroup.procs").read_text().split())
    return found


def kill(group: str, root: Path = ROOT) -> None:
    """End every process in the group at once; membership, not a remembered pid, says who.

    Raises:
        ClusterError: some would not end.
    """
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while pids := processes(group, root):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ClusterError(
                "processes of the cluster would not end", hint="Look at them with ps.", pids=sorted(pids)
            )
        time.sleep(0.05)


def remove(group: str, root: Path = ROOT) -> None:
    """Take the empty group away from every hierarchy, the deepest directories first."""
    deadline = time.monotonic() + KILL_TIMEOUT_S
    for hierarchy in hierarchies(root):
        for directory in reversed(list(_tree(hierarchy / group))):
            _remove_directory(directory, deadline)


def _remove_directory(directory: Path, deadline: float) -> None:
    # The kernel needs a moment after the last process before it lets the directory go.
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _delegate(directory: Path) -> None:
    available = (directory / "cgroup.controllers").read_text().split()
    wanted = [f"+{name}" for name in ("cpu", "cpuset", "io", "memory", "pids") if name in available]
    (directory / "cgroup.subtree_control").write_text(" ".join(wanted))


def _tree(directory: Path) -> Iterator[Path]:
    """The directory and all below it, parents first."""
    if directory.is_dir():
        yield directory
        for child in sorted(directory.iterdir()):
            if child.is_dir():
                yield from _tree(child)
