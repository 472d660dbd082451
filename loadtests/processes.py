"""Servers of a measurement: pinned to a core, in a memory cgroup, asleep while others are measured."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from tonnage.errors import DependencyError
from tonnage.serving.local import HOST

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server that runs, with whatever processes it started.

    Attributes:
        name: of it.
        port: that it listens on, at 127.0.0.1.
        process: the one that was started.
        log: what it wrote.
        started: when, of the monotonic clock.
    """

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    started: float

    def processes(self) -> list[psutil.Process]:
        """It and all its descendants."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def wait_until_ready(self, path: str) -> float:
        """Ask until it answers 200; seconds since the process was started.

        Raises:
            DependencyError: it ended, or time is up; with the end of its log.
        """
        while not answers(self.port, path):
            waited = time.monotonic() - self.started
            if self.process.poll() is not None or waited > START_TIMEOUT_S:
                lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
                end = "did not get ready" if self.process.poll() is None else "ended"
                raise DependencyError(f"{self.name} {end}: {' | '.join(lines[-4:])}", log=self.log)
            time.sleep(POLL_S)
        return time.monotonic() - self.started

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Stop all its processes until the block ends."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let its processes run until the block ends."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it and what it started."""
        everyone = self.processes()
        self._signal(signal.SIGCONT)
        if self.process.poll() is None:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT_S)
        for each in everyone:
            # psutil compares start times, so that a reused pid is nobody of ours.
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()

    def _signal(self, what: signal.Signals) -> None:
        for each in self.processes():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(what)


@contextmanager
def server(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    log: Path,
    directory: Path,
    environment: Mapping[str, str],
    core: int | None = 0,
    box: Path | None = None,
) -> Iterator[Server]:
    """Run a server until the block ends.

    Args:
        name: for messages.
        command: that starts it.
        port: that it will listen on.
        log: file that gets its output.
        directory: to run in.
        environment: variables beside those of this process.
        core: the only core that it may use; any if None.
        box: `cgroup.procs` of the memory cgroup that it is to be in from its first instruction.
    """
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    boxed = [] if box is None else ["sh", "-c", f'echo $$ > {box} && exec "$@"', "boxed"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pinned, *boxed, *command],
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    running = Server(name=name, port=port, process=process, log=log, started=time.monotonic())
    try:
        yield running
    finally:
        running.stop()


def answers(port: int, path: str) -> bool:
    """Whether a server of this machine answers 200 there."""
    return ask(port, "GET", path)[0] == 200


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of one request; status 0 when nobody answers."""
    connection = HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except (OSError, HTTPException):
        return 0, {}, b""
    finally:
        connection.close()
