"""The cluster's own processes: started detached, known by their control group."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tonnage.deployment.embedded import cgroups
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.errors import ClusterError

# The inner shell enters the control group and notes its pid before it becomes the program, so that there is
# no moment at which a process of ours is not known as such. The outer one ends at once: init is the parent.
LAUNCH = """
log=$1; shift
setsid sh -c 'echo $$ >"$0" && echo $$ >"$1" && shift && exec "$@"' "$@" </dev/null >>"$log" 2>&1 &
"""

STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """One long-running process.

    Args:
        name: names its log and pid file.
        command: the program and its arguments.
        environment: variables beside PATH and HOME; nothing else is inherited.
        inside: whether it runs in the cluster's namespaces.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    inside: bool = True


def start(config: EmbeddedConfig, daemon: Daemon, *, anchor: int | None = None) -> int:
    """Start a process unless it runs already, and return its pid.

    Args:
        config: whose process it is.
        daemon: what to start.
        anchor: pid of the process that holds the namespaces; needed by those inside.

    Raises:
        ClusterError: it could not be started at all; its log has the reason.
    """
    if pid := running(config, daemon.name):
        return pid
    prefix = (
        ("nsenter", f"--net=/proc/{anchor}/ns/net", f"--mount=/proc/{anchor}/ns/mnt") if daemon.inside else ()
    )
    log, pid_file = log_of(config, daemon.name), _pid_file(config, daemon.name)
    for directory in (log.parent, pid_file.parent):
        directory.mkdir(parents=True, exist_ok=True)
    pid_file.unlink(missing_ok=True)
    group = cgroups.tracking(config.cgroup) / "node" / "cgroup.procs"
    subprocess.run(
        ["sh", "-c", LAUNCH, "launch", str(log), str(group), str(pid_file), *prefix, *daemon.command],
        env={"PATH": os.defpath + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME": "/root", **daemon.environment},
        cwd="/",
        check=True,
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while not (pid := _recorded(pid_file)):
        if time.monotonic() > deadline:
            raise ClusterError(f"{daemon.name} could not be started", log=log)
        time.sleep(0.01)
    return pid


def running(config: EmbeddedConfig, name: str) -> int | None:
    """The pid of a process if it runs; a recycled pid is not in our control group, so it never counts."""
    pid = _recorded(_pid_file(config, name))
    return pid if pid in cgroups.processes(f"{config.cgroup}/node") else None


def stop(config: EmbeddedConfig, name: str) -> None:
    """End one process, first asking, then not."""
    pid = running(config, name)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while pid and running(config, name) == pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(0.05)


def require(config: EmbeddedConfig, name: str) -> None:
    """Check that a process has not ended by itself.

    Raises:
        ClusterError: it has; the message ends with the last line of its log.
    """
    if not running(config, name):
        log = log_of(config, name)
        raise ClusterError(f"{name} ended by itself: {last_line(log)}", hint="Its log has the rest.", log=log)


def log_of(config: EmbeddedConfig, name: str) -> Path:
    """The file with everything a process printed."""
    return config.logs / f"{name}.log"


def last_line(log: Path) -> str:
    """The last line a process printed, or that it printed none."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")[:500]


def _pid_file(config: EmbeddedConfig, name: str) -> Path:
    return config.state / "pids" / name


def _recorded(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
