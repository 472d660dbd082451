"""A way from this machine to a Service in the cluster, for as long as it is needed."""

import os
import re
import select
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import IO

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError, RequirementError

OPENS_WITHIN_S = 30.0

FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ")


@contextmanager
def forwarded(access: ClusterAccess, target: str, port: int, *, namespace: str) -> Iterator[int]:
    """Forward a free local port, on 127.0.0.1 only, to a pod behind `target`.

    Args:
        access: the cluster.
        target: such as `service/shop-redis` or `pod/shop-redis-0`.
        port: the target's port.
        namespace: where it is.

    Yields:
        The local port; it accepts connections.

    Raises:
        RequirementError: there is no kubectl.
        ClusterError: nothing is there to forward to; the message is kubectl's.
    """
    command = access.kubectl_command(
        "port-forward", "--namespace", namespace, "--address", "127.0.0.1", target, f":{port}"
    )
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **access.environment},
        )
    except FileNotFoundError as error:
        raise RequirementError(f"there is no command {access.kubectl}.", hint="Install kubectl.") from error
    with process:
        try:
            yield _local_port(process, target)
        finally:
            process.terminate()


def _local_port(process: subprocess.Popen[str], target: str) -> int:
    """The port that kubectl chose, once it listens there."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    assert process.stderr is not None  # noqa: S101
    line = _line_within(process.stdout, OPENS_WITHIN_S)
    if match := FORWARDING.match(line):
        # kubectl writes a line for every connection, and stops when nobody reads them.
        Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
        return int(match[1])
    process.terminate()
    said = process.stderr.read().strip() or line.strip() or f"no answer within {OPENS_WITHIN_S:.0f} s"
    raise ClusterError(f"kubectl port-forward: {said}", target=target)


def _line_within(stream: IO[str], seconds: float) -> str:
    """The first line of a pipe; what there is of it when the pipe ends or the time is over."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([stream], [], [], left)[0]:
            return stream.readline()
    return ""
