"""The embedded cluster beside everything else on the machine: it disturbs nothing and leaves nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.devcluster.machine import Machine, look, processes_with
from tests.e2e.devcluster.waiting import eventually

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded import namespaces, processes
from tonnage.deployment.embedded.cluster import ClusterStatus
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Spoken


@dataclass(frozen=True)
class Visit:
    """A second cluster that came and went beside the first.

    Args:
        config: where it was.
        before: the machine without it.
        during: the machine while it ran.
        after: the machine when it was gone.
        status: how it was while it ran.
    """

    config: EmbeddedConfig
    before: Machine
    during: Machine
    after: Machine
    status: ClusterStatus


@pytest.fixture(scope="module")
def second(
    cluster_config: EmbeddedConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedConfig]:
    """Another cluster's place, with the same cache."""
    state = tmp_path_factory.mktemp("second") / "state"
    config = EmbeddedConfig(state=state, cache=cluster_config.cache, sources=cluster_config.sources)
    yield config
    embedded.down(config, progress=Spoken())


@pytest.fixture(scope="module")
def visit(cluster: ClusterAccess, second: EmbeddedConfig) -> Visit:
    """Start it, kill the command half way, start again, let processes die, mend it, take it down."""
    before = look(ours=second.cgroup)
    _start_and_kill_the_command(second)
    embedded.up(second, progress=Spoken())
    during = look(ours=second.cgroup)
    os.kill(processes.running(second, "kubelet") or 0, signal.SIGKILL)
    os.kill(processes.running(second, namespaces.ANCHOR) or 0, signal.SIGKILL)
    embedded.up(second, progress=Spoken())
    status = embedded.status(second)
    embedded.down(second, progress=Spoken())
    after = look(ours=second.cgroup)
    return Visit(second, before, during, after, status)


def _start_and_kill_the_command(config: EmbeddedConfig) -> None:
    command = [sys.executable, "-c", "from tonnage.cli import main; main()", "cluster", "up"]
    environment = {**os.environ, "TONNAGE_STATE_DIR": str(config.state)}
    started = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: processes.running(config, "kube-apiserver"))
    finally:
        started.kill()
        started.wait()


def test_a_start_that_was_killed_is_resumed_and_a_dead_process_is_started_again(visit: Visit) -> None:
    assert visit.status.running, visit.status


def test_while_it_runs_only_its_cable_is_seen(visit: Visit) -> None:
    """A firewall rule, a kernel setting or a mount would meet a Docker or a Kubernetes that is there."""
    changes = visit.before.changes(visit.during)
    groups = changes.pop("groups")
    assert all(visit.config.cgroup in Path(group).parts for group in groups)
    assert set(changes) == {"devices", "routes"}
    assert all(visit.config.device in line for lines in changes.values() for line in lines), changes


def test_when_it_is_gone_the_machine_is_as_before(visit: Visit) -> None:
    assert visit.before.changes(visit.after) == {}
    assert not processes_with(visit.config.cgroup, str(visit.config.state))
    assert not visit.config.state.exists()


def test_the_other_cluster_has_noticed_nothing(visit: Visit, cluster_config: EmbeddedConfig) -> None:
    assert embedded.status(cluster_config).running


def test_taking_down_what_is_not_there_is_fine(second: EmbeddedConfig, visit: Visit) -> None:
    embedded.down(second, progress=Spoken())
    assert not embedded.status(second).running


def test_no_kubeconfig_of_the_person_is_touched(visit: Visit) -> None:
    """`kubectl` keeps a cache in ~/.kube; the file with a person's clusters is theirs."""
    file = Path.home() / ".kube" / "config"
    assert not file.exists() or str(visit.config.state) not in file.read_text()
