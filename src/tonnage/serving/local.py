"""The three bentos as processes of one machine, without a cluster."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import orjson

from tonnage.errors import DependencyError, RequirementError
from tonnage.telemetry import Progress

HOST = "127.0.0.1"
BENTOS = ("retriever", "ranker", "recommender")

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.2

LOG_TAIL = 5
"""Lines of a service's log that are told when it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalService:
    """One bento as a process group of its own."""

    name: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def is_ready(self) -> bool:
        """Whether it answers that it is."""
        connection = HTTPConnection(HOST, self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End it, and what is left of its process group: the worker of a supervisor that was killed."""
        if self.process.poll() is None:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_TIMEOUT_S)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def check(self) -> None:
        """Prove that it still runs.

        Raises:
            DependencyError: it ended; with the end of its log.
        """
        if self.process.poll() is None:
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise DependencyError(
            f"the {self.name} ended: {' | '.join(lines[-LOG_TAIL:])}",
            exit_code=self.process.returncode,
            log=self.log,
        )


@contextmanager
def serve_locally(
    release_dir: Path,
    *,
    online_store: str,
    bentos_dir: Path,
    work_dir: Path,
    port: int = 0,
    settings: Mapping[str, str] | None = None,
    progress: Progress,
) -> Iterator[Sequence[LocalService]]:
    """Run retriever, ranker and recommender until the context ends.

    Args:
        release_dir: what they serve.
        online_store: URL of the feature store.
        bentos_dir: where `<name>/service.py` lie.
        work_dir: gets one log per service.
        port: of the recommender; 0 takes a free one.
        settings: further environment variables.
        progress: who is told.

    Raises:
        RequirementError: the port is taken.
        DependencyError: a service ended, or was not ready in time.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    ports = dict(zip(BENTOS, [free_port(), free_port(), free_port(port)], strict=True))
    environment = {
        # Feast sets it in whoever imports it; three services that share a directory count as one.
        **{name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"},
        "TONNAGE_RELEASE_DIR": str(release_dir.absolute()),
        "TONNAGE_ONLINE_STORE": online_store,
        "TONNAGE_RETRIEVER_URL": f"http://{HOST}:{ports['retriever']}",
        "TONNAGE_RANKER_URL": f"http://{HOST}:{ports['ranker']}",
        "BENTOML_DO_NOT_TRACK": "true",
        # As in the images, where it shortens the imports, most of all Feast's.
        "PYTHONOPTIMIZE": "1",
        **(settings or {}),
    }
    with ExitStack() as stack:
        services = [
            stack.enter_context(one_service(name, ports[name], bentos_dir / name, work_dir, environment))
            for name in BENTOS
        ]
        with progress.stage("services"):
            wait_until_ready(services)
        yield services


def post(service: LocalService, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Send one request: status and answer.

    Raises:
        DependencyError: nobody answers.
    """
    connection = HTTPConnection(HOST, service.port, timeout=30)
    try:
        connection.request("POST", path, orjson.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    except (OSError, HTTPException) as error:
        raise DependencyError(f"the {service.name} does not answer: {error}", log=service.log) from error
    finally:
        connection.close()


def watch(services: Sequence[LocalService]) -> None:
    """Return never, unless by an exception.

    Raises:
        DependencyError: a service ended.
    """
    while True:
        for service in services:
            service.check()
        time.sleep(POLL_S)


def free_port(wanted: int = 0) -> int:
    """A port of this machine that nobody listens on.

    Raises:
        RequirementError: the one wanted is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise RequirementError(
                "the port is taken", hint="Choose another with --port.", port=wanted
            ) from error
        return int(probe.getsockname()[1])


@contextmanager
def one_service(
    name: str, port: int, directory: Path, work_dir: Path, environment: Mapping[str, str]
) -> Iterator[LocalService]:
    """Run one bento until the context ends.

    Args:
        name: of `BENTOS`.
        port: that it listens on.
        directory: where its `service.py` lies.
        work_dir: gets its log.
        environment: of the process.
    """
    command = [
        *(sys.executable, "-m", "bentoml", "serve", f"service:{name.capitalize()}"),
        *("--host", HOST, "--port", str(port), "--timeout-keep-alive", "75"),
    ]
    log = work_dir / f"{name}.log"
    own = {**environment, "BENTOML_HOME": str(work_dir.absolute() / f"bentoml-{name}")}
    with log.open("wb") as out:
        # A session of its own: Ctrl-C reaches us alone, and we end the services in order.
        process = subprocess.Popen(
            command, cwd=directory, env=own, stdout=out, stderr=out, start_new_session=True
        )
    service = LocalService(name=name, port=port, log=log, process=process)
    try:
        yield service
    finally:
        service.stop()


def wait_until_ready(services: Sequence[LocalService]) -> None:
    """Return when the last of the services is ready; a recommender's readiness includes that of the others.

    Raises:
        DependencyError: a service ended, or time is up.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while not services[-1].is_ready():
        for service in services:
            service.check()
        if time.monotonic() > deadline:
            raise DependencyError(
                f"the services were not ready within {START_TIMEOUT_S:.0f} s", logs=services[0].log.parent
            )
        time.sleep(POLL_S)
