"""A real Redis on a free port of 127.0.0.1, with nothing on disk."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as NotYet

from tonnage.serving.local import free_port

START_S = 10.0

BINARY = "/usr/bin/redis-check-rdb"
"""One program with several names: Debian's redis-tools has it, and unlike redis-server starts no service."""


@contextmanager
def redis_server(directory: Path, port: int | None = None) -> Iterator[str]:
    """Run `redis-server` for the length of a block; its URL without the database number."""
    port = port or free_port()
    settings = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory)]
    with (directory / "redis.log").open("wb") as log:
        server = subprocess.Popen(["redis-server", *settings], executable=BINARY, stdout=log, stderr=log)
        try:
            _await_ping(port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=START_S)


def _await_ping(port: int) -> None:
    deadline = time.monotonic() + START_S
    with Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except NotYet:
                if time.monotonic() > deadline:
                    raise
            else:
                return
