"""Ways to read a cluster's API server, many times and quickly: through kubectl, and from inside a pod."""

import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError, RequirementError

OPENS_WITHIN_S = 15.0
ANSWERS_WITHIN_S = 5.0

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token and the API server's certificate authority."""

Ask = Callable[[str], str]
"""Reads one path of the API server."""


@contextmanager
def api_server(access: ClusterAccess) -> Iterator[Ask]:
    """A way to read the API server, by GET alone: a pod's own where nothing else is named, else kubectl's.

    Raises:
        RequirementError: there is no kubectl.
        ClusterError: the way does not open. Each question may raise it too.
    """
    if _from_inside(access, os.environ, SERVICE_ACCOUNT):
        yield of_pod(os.environ, SERVICE_ACCOUNT)
        return
    with _through_kubectl(access) as ask:
        yield ask


def _from_inside(access: ClusterAccess, environment: Mapping[str, str], account: Path) -> bool:
    """Whether this is a pod that may ask for itself, and nobody named another cluster."""
    named = access.context or access.kubeconfig or environment.get("KUBECONFIG")
    return not named and "KUBERNETES_SERVICE_HOST" in environment and (account / "token").is_file()


def of_pod(environment: Mapping[str, str], account: Path) -> Ask:
    """A way to read the API server with the ServiceAccount of the pod that this is.

    Args:
        environment: holds `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT_HTTPS`.
        account: directory of `token` and `ca.crt`.

    Raises:
        ClusterError: the certificate authority cannot be read. Each question may raise it too.
    """
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = int(environment.get("KUBERNETES_SERVICE_PORT_HTTPS", "443"))
    try:
        trusted = ssl.create_default_context(cafile=account / "ca.crt")
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(
            f"the API server's certificate authority cannot be read: {error}", file=account / "ca.crt"
        ) from error

    def ask(asked: str) -> str:
        # The kubelet writes a new token long before the old one is void.
        try:
            token = (account / "token").read_text(encoding="ascii").strip()
        except OSError as error:
            raise ClusterError(f"the pod's token cannot be read: {error}", path=asked) from error
        connection = HTTPSConnection(host, port, timeout=ANSWERS_WITHIN_S, context=trusted)
        return _ask(connection, asked, {"authorization": f"Bearer {token}"})

    return ask


@contextmanager
def _through_kubectl(access: ClusterAccess) -> Iterator[Ask]:
    """One `kubectl proxy` for the whole run, where `kubectl get` is a process for each question.

    It listens on a socket in a directory of this user's own, and only reads.
    """
    with TemporaryDirectory(prefix="tonnage-") as directory:
        path = Path(directory) / "api"
        reads = "--reject-methods=^(POST|PUT|PATCH|DELETE)$"
        command = access.kubectl_command("proxy", f"--unix-socket={path}", reads)
        environment = {**os.environ, **access.environment}
        log = Path(directory) / "log"
        try:
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
                )
        except FileNotFoundError as error:
            raise RequirementError(
                f"there is no command {access.kubectl}.", hint="Install kubectl."
            ) from error
        with process:
            try:
                _await(process, path, log)
                yield lambda asked: _ask(_Connection(path), asked, {})
            finally:
                process.terminate()


def _await(process: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    until = time.monotonic() + OPENS_WITHIN_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            raise ClusterError(f"kubectl proxy: {said or f'no answer within {OPENS_WITHIN_S:.0f} s'}")
        time.sleep(0.02)


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWERS_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWERS_WITHIN_S)
        self.sock.connect(str(self._path))


def _ask(connection: HTTPConnection, asked: str, headers: Mapping[str, str]) -> str:
    try:
        connection.request("GET", asked, headers=dict(headers))
        answer = connection.getresponse()
        said = answer.read().decode("utf-8", errors="replace")
    except (OSError, HTTPException) as error:
        raise ClusterError(f"the API server does not answer: {error}", path=asked) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ClusterError(f"the API server answers {answer.status}: {_message(said)}", path=asked)
    return said


def _message(said: str) -> str:
    """What a Status object says, or whatever else was said."""
    try:
        return str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        return said.strip()[:200]
