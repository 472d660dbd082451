"""What can be seen of this machine from outside of any cluster."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from tonnage.deployment.access import run
from tonnage.deployment.embedded.cgroups import ROOT
from tonnage.errors import RequirementError

SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
)
FOLDERS = ("/etc", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log", "/etc/cni", "/opt/cni")


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything a cluster could change; each a set of lines."""

    devices: frozenset[str]
    routes: frozenset[str]
    firewall: frozenset[str]
    mounts: frozenset[str]
    groups: frozenset[str]
    settings: frozenset[str]
    folders: frozenset[str]

    def changes(self, after: "Machine") -> dict[str, set[str]]:
        """What came or went, by kind; empty if nothing did."""
        changed = {each.name: getattr(self, each.name) ^ getattr(after, each.name) for each in fields(self)}
        return {name: set(lines) for name, lines in changed.items() if lines}


def look(*, ours: str) -> Machine:
    """Look at the machine.

    Args:
        ours: control group of the cluster in question; in those of others, pods come and go meanwhile.
    """
    return Machine(
        devices=_lines(run(["ip", "-brief", "link"], timeout_s=10)),
        routes=_lines(run(["ip", "route", "show", "table", "all"], timeout_s=10)),
        firewall=_firewall(),
        mounts=_lines(Path("/proc/self/mounts").read_text()),
        groups=_groups(ours),
        settings=frozenset(f"{name}={Path('/proc/sys', name).read_text().strip()}" for name in SETTINGS),
        folders=frozenset(
            str(path) for folder in FOLDERS if Path(folder).is_dir() for path in Path(folder).iterdir()
        ),
    )


def processes_with(*words: str) -> set[str]:
    """Running processes with one of the words in command line or control group; this one does not count.

    One that ended but was not waited for runs no more: orphans are the machine's init's to bury, and in a
    container that init may be a program that never does.
    """
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            group = (directory / "cgroup").read_text()
            ended = "\nState:\tZ" in (directory / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if ended or int(directory.name) == os.getpid():
            continue
        if any(word in command or word in group for word in words):
            found.add(f"{directory.name} {command}")
    return found


def _groups(ours: str) -> frozenset[str]:
    """Control groups, without those of other clusters: there they go while one looks."""
    found = []
    for directory, children, _files in os.walk(ROOT):
        children[:] = [name for name in children if name == ours or not name.startswith("tonnage-")]
        found += [str(Path(directory, name)) for name in children]
    return frozenset(found)


def _firewall() -> frozenset[str]:
    try:
        rules = run(["iptables-save"], timeout_s=10)
    except RequirementError:
        return frozenset()
    return frozenset(line.partition(" [")[0] for line in rules.splitlines() if not line.startswith("#"))


def _lines(text: str) -> frozenset[str]:
    return frozenset(text.splitlines())
