"""How much processor time the container may use.

A library that starts one thread per core of the host is throttled to a crawl inside a small limit: XGBoost
took 28 s instead of 0.3 s (dmlc/xgboost#7653).
"""

import os
from pathlib import Path


def cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> float:
    """CPUs that this process may use: the smaller of the cgroup's limit (v2 or v1) and the affinity.

    Args:
        root: where the cgroup file system is mounted.
    """
    available = float(len(os.sched_getaffinity(0)))
    quota = _v2(root / "cpu.max") or _v1(root / "cpu")
    return min(quota, available) if quota else available


def threads(workers: int = 1, *, root: Path = Path("/sys/fs/cgroup")) -> int:
    """Threads that one of `workers` processes should compute with, at least 1."""
    return max(1, int(cpu_limit(root) / workers))


def _v2(file: Path) -> float | None:
    match _words(file):
        case [quota, period] if quota != "max":
            return float(quota) / float(period)
    return None


def _v1(directory: Path) -> float | None:
    quota = _words(directory / "cpu.cfs_quota_us")
    period = _words(directory / "cpu.cfs_period_us")
    if not quota or not period or float(quota[0]) <= 0:
        return None
    return float(quota[0]) / float(period[0])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
