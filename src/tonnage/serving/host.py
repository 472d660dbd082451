"""Who hosts a service: BentoML launches it and hands its process over, uvicorn serves it.

BentoML's supervisor and its worker hold 190 MB before the first vector, most of it libraries for building and
deploying; a request passes a timer, a span, a context and a second routing on its way. What is here needs a
quarter of that memory and none of the way. One worker is one process; several are forked by gunicorn after
everything is imported, so that they share it.
"""

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from socket import socket
from types import FrameType
from typing import Any, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

import tonnage
from tonnage.errors import TonnageError
from tonnage.serving.environment import Environment

THREADING = {"OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""How libraries use threads, as environment variables of the process.

One request's matrix product is too small for several threads. OpenMP's own spin between two pieces of work:
with two threads on two overloaded cores, 500 rows through 20 small trees took 7.6 ms with that, 0.7 without.
"""

MALLOC = {"MALLOC_ARENA_MAX": "2"}
"""glibc gives each of a few threads its own heap, and none of them back."""

LEFT_TO_BENTOML = ("development", "reload", "ssl_certfile")
"""Options of `bentoml serve` with which BentoML goes on hosting by itself."""

ACCEPTORS = 16
"""Connections taken in one round of the event loop: it takes one for each socket that it listens on, and
between two computations of 10 ms a burst of hundreds would wait for seconds."""

LAST_S = 5
"""Seconds that requests in flight have when a service that was told to stop has drained."""


class Listening(BaseModel):
    """What `bentoml serve` was told about the socket; its names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    port: int
    backlog: int = 2048
    timeout_keep_alive: int = Field(5, description="seconds that an idle connection stays open")
    timeout_graceful_shutdown: int | None = None

    @property
    def address(self) -> str:
        """Host and port in one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@contextmanager
def _ended_by_error() -> Iterator[None]:
    """End the process with one line and the error's exit code: that is what `kubectl describe pod` shows."""
    try:
        yield
    except TonnageError as error:
        sys.stderr.write(f"tonnage: {error}\n")
        raise SystemExit(error.exit_code) from None


def environment_or_exit() -> Environment:
    """What the service is told; a pod that is told nonsense ends here, with one line.

    Raises:
        SystemExit: with the error's exit code.
    """
    with _ended_by_error():
        return Environment.read(os.environ)


def take_over(service: str, environment: Environment) -> None:
    """Replace BentoML's launcher by the service's own process; called in BentoML's deployment hook.

    With `--development`, `--reload` or TLS, and where no command line started it, BentoML goes on, with a
    release that can be served; our own process looks at that itself.

    Args:
        service: retriever, ranker or recommender.
        environment: what it is told.

    Raises:
        SystemExit: BentoML would host a release that cannot be served; after one line.
    """
    import click
    from bentoml._internal.configuration.containers import BentoMLContainer

    context = click.get_current_context(silent=True)
    if context is None or any(context.params.get(name) for name in LEFT_TO_BENTOML):
        from tonnage.serving.lifecycle import open_servable

        with _ended_by_error():
            open_servable(environment)
        return
    # What no option and no variable says, BentoML's configuration does.
    configured = {"host": BentoMLContainer.http.host.get(), "port": BentoMLContainer.http.port.get()}
    told = {name: value for name, value in context.params.items() if value is not None}
    listening = Listening.model_validate(configured | told).model_dump_json()
    command = [sys.executable, "-m", "tonnage.serving.host", service, listening]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, _variables(environment))  # noqa: S606 - there is no shell to use


def _variables(environment: Environment) -> dict[str, str]:
    # In an image the package lies in the bento, where only BentoML's loader looks.
    packages = os.pathsep.join(
        part for part in (str(Path(tonnage.__file__).parents[1]), os.environ.get("PYTHONPATH", "")) if part
    )
    variables = {**THREADING, **MALLOC, **os.environ, "PYTHONPATH": packages}
    if environment.workers > 1:
        # BentoML made and emptied it. One worker counts in memory, which is quicker.
        from bentoml._internal.configuration.containers import BentoMLContainer

        variables["PROMETHEUS_MULTIPROC_DIR"] = str(BentoMLContainer.prometheus_multiproc_dir.get())
    return variables


def main(service: str, listening: Listening) -> NoReturn:
    """Serve until told to stop.

    Raises:
        SystemExit: always; with an error's own code, after one line, when there is nothing to serve.
    """
    environment = environment_or_exit()
    with _ended_by_error():
        application = _application(service, environment)
    from structlog import get_logger

    get_logger().info(
        "uvicorn serves, launched by BentoML",
        host=listening.host,
        port=listening.port,
        workers=environment.workers,
    )
    gc.collect()
    if environment.workers == 1:
        _serve(application, listening)
    _serve_forked(application, listening, environment)


def _application(service: str, environment: Environment) -> ASGIApp:
    from tonnage.serving.lifecycle import all_logs_as_json, open_servable

    all_logs_as_json(service)
    if service == "recommender":
        from tonnage.serving.application import RecommenderServer
        from tonnage.serving.service import FILES

        return RecommenderServer(environment, open_servable(environment, only=FILES)).app
    from tonnage.serving.protocol.server import InferenceServer

    # Before anything is measured and before workers are forked: what they all need, once.
    import_module("tonnage.serving.admission.protocol")
    if environment.grpc_port:
        import_module("tonnage.serving.protocol.grpc_door")
    if service == "retriever":
        from tonnage.serving.memory.start import prepare
        from tonnage.serving.retriever import Prepared, Retriever

        release, plan = prepare(environment)
        prepared = Prepared.of(release, environment, plan)
        load = partial(Retriever.load, prepared=prepared)
        return InferenceServer(service, load, environment, release).app
    from tonnage.releases.release import ITEMS, RANKER
    from tonnage.serving.ranker import Ranker

    release = open_servable(environment, only=[ITEMS, RANKER])
    return InferenceServer(service, Ranker.load, environment, release).app


def _serve(application: ASGIApp, listening: Listening) -> NoReturn:
    import uvicorn

    # uvicorn raises the signal again once it has stopped in order; that is then a good end.
    signal.signal(signal.SIGTERM, _end)
    config = uvicorn.Config(
        application,
        host=listening.host,
        port=listening.port,
        backlog=listening.backlog,
        timeout_keep_alive=listening.timeout_keep_alive,
        timeout_graceful_shutdown=listening.timeout_graceful_shutdown,
        **_QUIET,
    )
    server = uvicorn.Server(config)
    server.run(listening_often([config.bind_socket()]))
    raise SystemExit(0 if server.started else 1)


def listening_often(sockets: Sequence[socket]) -> list[socket]:
    """Sockets, and more descriptors of each: the event loop takes one connection a round for every one."""
    return [*sockets, *(each.dup() for each in sockets for _ in range(ACCEPTORS - 1))]


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


_QUIET: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "http": "tonnage.serving.admission.protocol:GuardedProtocol",
    # Nobody reads the caller's address, or speaks WebSocket.
    "proxy_headers": False,
    "ws": "none",
}


def _serve_forked(application: ASGIApp, listening: Listening, environment: Environment) -> NoReturn:
    from gunicorn.app.base import BaseApplication
    from gunicorn.glogging import Logger
    from prometheus_client.multiprocess import mark_process_dead
    from uvicorn_worker import UvicornWorker

    class Worker(UvicornWorker):  # type: ignore[misc]
        CONFIG_KWARGS: ClassVar = {**UvicornWorker.CONFIG_KWARGS, **_QUIET}
        sockets: Sequence[socket]

        async def _serve(self) -> None:
            self.sockets = listening_often(self.sockets)
            await super()._serve()

    class OurLogger(Logger):  # type: ignore[misc]
        def setup(self, cfg: object) -> None:
            super().setup(cfg)
            self.error_log.handlers = logging.getLogger("uvicorn").handlers

    grace = listening.timeout_graceful_shutdown or LAST_S
    settings = {
        "bind": listening.address,
        "workers": environment.workers,
        "worker_class": Worker,
        "logger_class": OurLogger,
        "preload_app": True,
        "backlog": listening.backlog,
        "keepalive": listening.timeout_keep_alive,
        "graceful_timeout": int(environment.drain_s) + grace,
        # The kubelet's probe tells who hangs, and a first load may take its time.
        "timeout": 0,
        "control_socket_disable": True,
        "child_exit": lambda _server, worker: mark_process_dead(worker.pid),  # type: ignore[no-untyped-call]
    }

    class Forking(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> ASGIApp:
            return application

    gc.freeze()
    Forking().run()
    raise SystemExit(0)


if __name__ == "__main__":
    main(sys.argv[1], Listening.model_validate(json.loads(sys.argv[2])))
