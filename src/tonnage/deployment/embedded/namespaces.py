"""The network and mount namespaces that the cluster lives in, and the one cable that leads there.

A process that only sleeps, the anchor, holds them. When the last process in them is gone, the kernel takes
mounts, devices, firewall rules and settings away with them.
"""

import json
import time
from contextlib import suppress
from pathlib import Path

from tonnage.deployment.access import run
from tonnage.deployment.embedded import processes
from tonnage.deployment.embedded.config import MASKED, EmbeddedConfig
from tonnage.deployment.embedded.network import Addresses
from tonnage.errors import ClusterError

ANCHOR = "anchor"
READY_TIMEOUT_S = 10.0

KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
"""Settings of the whole machine that a kubelet would change: it is shown files that say they are so."""

NETWORK_SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/route_localnet": "1",
}
"""Settings of the cluster's own network namespace."""


def enter(config: EmbeddedConfig, addresses: Addresses) -> int:
    """Make the namespaces and the cable unless they are there, and return the anchor's pid.

    Raises:
        ClusterError: the kernel refused; the message has its words.
    """
    pid = processes.running(config, ANCHOR)
    if pid is None:
        # The kernel takes an earlier namespace away in its own time; until then its cable looks like ours.
        unlink(config)
        _ready(config).unlink(missing_ok=True)
        pid = processes.start(config, _anchor(config))
    _await_ready(config)
    if not _linked(config):
        _link(config, addresses, pid)
    return pid


def unlink(config: EmbeddedConfig) -> None:
    """Take the cable away, should it have outlived the namespace it led to."""
    with suppress(ClusterError):
        run(["ip", "link", "delete", config.device], timeout_s=10)


def _anchor(config: EmbeddedConfig) -> processes.Daemon:
    script = config.state / "anchor.sh"
    script.write_text(_script(config))
    command = ("unshare", "--net", "--mount", "--propagation", "private", "sh", str(script))
    return processes.Daemon(name=ANCHOR, command=command, inside=False)


def _script(config: EmbeddedConfig) -> str:
    shown = config.state / "kernel"
    lines = ["set -e", "mount --make-rshared /", f"mkdir -p '{shown}'"]
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {masked}" for masked in MASKED]
    for name, value in KERNEL_SETTINGS.items():
        file = shown / name.replace("/", ".")
        lines += [f"echo {value} > '{file}'", f"mount --bind '{file}' /proc/sys/{name}"]
    lines += [f"echo {value} > /proc/sys/{name}" for name, value in NETWORK_SETTINGS.items()]
    lines += ["ip link set lo up", f"touch '{_ready(config)}'", "exec sleep infinity"]
    return "\n".join(lines) + "\n"


def _ready(config: EmbeddedConfig) -> Path:
    return config.state / "anchor.ready"


def _await_ready(config: EmbeddedConfig) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _ready(config).exists():
        processes.require(config, ANCHOR)
        if time.monotonic() > deadline:
            raise ClusterError(
                "the cluster's namespaces did not get ready", log=processes.log_of(config, ANCHOR)
            )
        time.sleep(0.02)


def _linked(config: EmbeddedConfig) -> bool:
    devices = json.loads(run(["ip", "-json", "route", "show", "table", "main"], timeout_s=10))
    return any(route.get("dev") == config.device and "gateway" in route for route in devices)


def _link(config: EmbeddedConfig, addresses: Addresses, anchor: int) -> None:
    unlink(config)
    ours, theirs = config.device, "eth0"
    inside = ["nsenter", f"--net=/proc/{anchor}/ns/net", "ip"]
    for command in (
        ["ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", str(anchor)],
        ["ip", "address", "add", f"{addresses.host}/30", "dev", ours],
        ["ip", "link", "set", ours, "up"],
        [*inside, "address", "add", f"{addresses.node}/30", "dev", theirs],
        [*inside, "link", "set", theirs, "up"],
        # The last step is what _linked looks for, so an interrupted run does all of it again.
        ["ip", "route", "add", addresses.network, "via", addresses.node, "dev", ours],
    ):
        run(command, timeout_s=10)
