"""Addresses and ports that nobody on this machine uses."""

import ipaddress
import json
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from tonnage.deployment.access import run
from tonnage.errors import ClusterError

CANDIDATES = tuple(IPv4Network(f"10.{second}.0.0/16") for second in range(212, 180, -1))
"""Networks to choose from; the first one that overlaps no route of this machine is taken."""

GATEWAY_NODE_PORT = 30080
PROMETHEUS_NODE_PORT = 30090
"""Inside the cluster's own network, so they never collide with anything."""

GATEWAY_PORTS = range(8088, 8188)
PROMETHEUS_PORTS = range(9098, 9198)
"""Ports on 127.0.0.1 to try, in order, so that addresses stay the same from day to day where they can."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one cluster.

    Args:
        network: everything of the cluster lies in this one network, so one route of the host reaches it.
        gateway_port: port on 127.0.0.1 that leads to the Gateway.
        prometheus_port: port on 127.0.0.1 that leads to Prometheus.
    """

    network: str
    gateway_port: int
    prometheus_port: int

    @property
    def pods(self) -> str:
        """The lower half, for pods."""
        return str(next(self._net().subnets(new_prefix=17)))

    @property
    def services(self) -> str:
        """A quarter, for Services."""
        return str(list(self._net().subnets(new_prefix=18))[2])

    @property
    def api(self) -> str:
        """Address of the Service `kubernetes`."""
        return str(IPv4Network(self.services)[1])

    @property
    def dns(self) -> str:
        """Address of cluster DNS."""
        return str(IPv4Network(self.services)[10])

    @property
    def host(self) -> str:
        """This machine, as pods see it."""
        return str(self._net()[-2])

    @property
    def node(self) -> str:
        """The node, as this machine and pods see it."""
        return str(self._net()[-3])

    def write(self, file: Path) -> None:
        """Keep the choice, so that a resumed cluster finds the same addresses."""
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".fresh")
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.rename(file)

    @classmethod
    def read(cls, file: Path) -> "Addresses | None":
        """The choice made earlier, if there was one."""
        return cls(**json.loads(file.read_text())) if file.exists() else None

    def _net(self) -> IPv4Network:
        return IPv4Network(self.network)


def choose() -> Addresses:
    """Choose addresses and ports that are free now.

    Raises:
        ClusterError: nothing is free.
    """
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"], timeout_s=10))
    return Addresses(
        network=str(free_network(str(route["dst"]) for route in routes)),
        gateway_port=free_port(GATEWAY_PORTS),
        prometheus_port=free_port(PROMETHEUS_PORTS),
    )


def free_network(destinations: Iterable[str]) -> IPv4Network:
    """The first candidate that overlaps none of the routes.

    Args:
        destinations: as `ip route` prints them: a network, a host, or the word `default`.

    Raises:
        ClusterError: every candidate is taken.
    """
    taken = [ipaddress.ip_network(each, strict=False) for each in destinations if each != "default"]
    for candidate in CANDIDATES:
        if not any(candidate.overlaps(route) for route in taken if isinstance(route, IPv4Network)):
            return candidate
    raise ClusterError(
        "no network is free for the cluster", hint=f"Free one from {CANDIDATES[-1]} to {CANDIDATES[0]}."
    )


def free_port(ports: Iterable[int]) -> int:
    """The first port on 127.0.0.1 that can be listened on.

    Raises:
        ClusterError: every one is taken.
    """
    for port in ports:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ClusterError("no port on 127.0.0.1 is free for the cluster", ports=ports)
