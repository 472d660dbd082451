"""Whoever moves canaries with the command, and a way to the API server that can be cut."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

TONNAGE = Path(sys.executable).with_name("tonnage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command ended: its exit code, its JSON, and what it told meanwhile."""

    code: int
    json: Any
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A command at work."""

    process: subprocess.Popen[str]

    def ended(self, *, within_s: float = 500) -> Said:
        """Wait for its end."""
        out, told = self.process.communicate(timeout=within_s)
        lines = out.splitlines()
        return Said(code=self.process.returncode, json=json.loads(lines[-1]) if lines else None, told=told)

    def killed(self) -> None:
        """End it as the machine's end would: it cannot tidy up. One that has ended stays as it is."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody with a `tonnage.toml`, and the cluster's tools on the PATH."""

    project: Path
    tools: Path
    begun: list[Working] = field(default_factory=list)

    def starts(self, verb: str, *arguments: str) -> Working:
        """Begin a command."""
        command = [TONNAGE, "canary", verb, *arguments, "--project", self.project, "--output", "json"]
        environment = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        pipe = subprocess.PIPE
        process = subprocess.Popen([*map(str, command)], stdout=pipe, stderr=pipe, text=True, env=environment)
        self.begun.append(Working(process=process))
        return self.begun[-1]

    def does(self, verb: str, *arguments: str) -> Said:
        """A command to its end."""
        return self.starts(verb, *arguments).ended()

    def leaves(self) -> None:
        """End what a test that failed has left at work."""
        for each in self.begun:
            if each.process.poll() is None:
                each.killed()


@dataclass(frozen=True, slots=True)
class Bridge:
    """A way for TCP to another address."""

    server: socket.socket
    target: tuple[str, int]
    ways: list[socket.socket]

    @property
    def port(self) -> int:
        """Where it begins, on 127.0.0.1."""
        return int(self.server.getsockname()[1])

    def carry(self) -> None:
        """Take connections until it is cut."""
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.create_connection(self.target, timeout=10)
                far.settimeout(None)
                self.ways.extend((near, far))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()

    def cut(self) -> None:
        """End everything on it, and let nothing new begin."""
        for each in (self.server, *self.ways):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@contextmanager
def bridged(kubeconfig: Path, directory: Path) -> Iterator[tuple[Path, Bridge]]:
    """A kubeconfig whose API server is at the other end of a bridge."""
    content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster = content["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    bridge = Bridge(
        socket.create_server(("127.0.0.1", 0)), (str(server.hostname), server.port or 443), ways=[]
    )
    cluster |= {"server": f"https://127.0.0.1:{bridge.port}", "tls-server-name": server.hostname}
    file = directory / "bridged.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    threading.Thread(target=bridge.carry, name="bridge", daemon=True).start()
    try:
        yield file, bridge
    finally:
        bridge.cut()
