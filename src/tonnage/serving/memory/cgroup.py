"""How much processor time and memory the container may use, and how much memory it does.

A library that starts one thread per core of the host is throttled to a crawl inside a small limit: XGBoost
took 28 s instead of 0.3 s (dmlc/xgboost#7653). A process that exceeds the memory limit is killed; mapped
files that exceed it are read again and again.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
"""Where the cgroup file system is mounted."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""Which cgroups this process is in; a container of its own cgroup namespace reads `/` there."""

UNLIMITED = 2**60
"""Version 1 writes no limit as the largest multiple of a page below 2^63."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a container holds of its memory, in bytes.

    Attributes:
        current: everything that is charged to it, page cache included.
        working_set: the same without inactive page cache, as the kubelet reports and evicts by it.
        needed: the same without any page cache that no process maps: the kernel drops that when memory gets
            short, and nobody waits for it. The pages of an index are mapped: they count.
        limit: the smallest limit that holds, None where there is none.
    """

    current: int
    working_set: int
    needed: int
    limit: int | None


def cpu_limit(root: Path = ROOT) -> float:
    """CPUs that this process may use: the smaller of the cgroup's limit (v2 or v1) and the affinity.

    Args:
        root: where the cgroup file system is mounted.
    """
    available = float(len(os.sched_getaffinity(0)))
    quota = _cpu_v2(root / "cpu.max") or _cpu_v1(root / "cpu")
    return min(quota, available) if quota else available


def threads(workers: int = 1, *, root: Path = ROOT) -> int:
    """Threads that one of `workers` processes should compute with, at least 1."""
    return max(1, int(cpu_limit(root) / workers))


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that this process and its siblings may use together (v2 or v1); None for no limit.

    A limit of any group above holds as well, so the smallest counts.

    Args:
        root: where the cgroup file system is mounted.
        membership: which groups the process is in.
    """
    return _smallest_limit(*_paths(root, membership))


def usage(root: Path = ROOT, membership: Path = MEMBERSHIP) -> Usage | None:
    """What this process and its siblings use together; None where no cgroup tells.

    Args:
        root: where the cgroup file system is mounted.
        membership: which groups the process is in.
    """
    v2, v1 = _paths(root, membership)
    # The innermost group that accounts for memory: that of the container.
    for directory, file, names in (
        *((each, "memory.current", _V2) for each in v2),
        *((each, "memory.usage_in_bytes", _V1) for each in v1),
    ):
        current = _number(directory / file)
        if current is not None:
            told = _statistics(directory / "memory.stat")
            inactive, active, mapped = (told.get(name, 0) for name in names)
            return Usage(
                current=current,
                working_set=max(0, current - inactive),
                needed=max(0, current - max(0, inactive + active - mapped)),
                limit=_smallest_limit(v2, v1),
            )
    return None


_V2 = ("inactive_file", "active_file", "file_mapped")
_V1 = ("total_inactive_file", "total_active_file", "total_mapped_file")


def _smallest_limit(v2: Sequence[Path], v1: Sequence[Path]) -> int | None:
    limits = [_number(each / "memory.max") for each in v2]
    limits += [_number(each / "memory.limit_in_bytes") for each in v1]
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED), default=None)


def _paths(root: Path, membership: Path) -> tuple[list[Path], list[Path]]:
    """Directories of the process's groups, the innermost first: of version 2, and of memory in version 1."""
    v2, v1 = "/", "/"
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            v2 = path
        elif "memory" in controllers.split(","):
            v1 = path
    return list(_upwards(root, v2)), list(_upwards(root / "memory", v1))


def _upwards(root: Path, path: str) -> Iterator[Path]:
    inner = root / path.strip("/")
    # A container without a cgroup namespace reads the host's path but sees its own group at the root.
    if ".." not in inner.parts and inner.is_dir():
        below = len(inner.parts) - len(root.parts)
        yield from (inner, *inner.parents[:below])
    else:
        yield root


def _cpu_v2(file: Path) -> float | None:
    match _words(file):
        case [quota, period] if quota != "max":
            return float(quota) / float(period)
    return None


def _cpu_v1(directory: Path) -> float | None:
    quota = _words(directory / "cpu.cfs_quota_us")
    period = _words(directory / "cpu.cfs_period_us")
    if not quota or not period or float(quota[0]) <= 0:
        return None
    return float(quota[0]) / float(period[0])


def _number(file: Path) -> int | None:
    match _words(file):
        case [word] if word.isdigit():
            return int(word)
    return None


def _statistics(file: Path) -> Mapping[str, int]:
    pairs = (line.split() for line in _lines(file))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    try:
        # Four times a second on the event loop: a buffer and a decoder would take as long again.
        with file.open("rb", buffering=0) as opened:
            return opened.read().decode("ascii").splitlines()
    except OSError:
        return []
