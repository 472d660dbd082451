"""Which processes are the cluster's, on both generations of control groups."""

from pathlib import Path

import pytest

from tonnage.deployment.embedded import cgroups


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """One hierarchy per controller."""
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """One hierarchy for all."""
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids rdma\n")
    # The kernel fills a new group with its files; a plain folder needs them laid out.
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "cgroup.controllers").write_text("cpu memory pids\n")
    return tmp_path


def test_on_v1_the_group_is_made_under_every_controller(v1: Path) -> None:
    """A kubelet refuses a root that one of its controllers lacks."""
    cgroups.create("ours", v1)
    assert all((v1 / controller / "ours").is_dir() for controller in ("cpu", "memory", "pids"))
    assert (v1 / "pids" / "ours" / "node").is_dir()


def test_on_v2_the_controllers_are_handed_down(v2: Path) -> None:
    """Without them a pod's memory limit is written nowhere."""
    cgroups.create("ours", v2)
    assert (v2 / "cgroup.subtree_control").read_text() == "+cpu +io +memory +pids"
    assert (v2 / "ours" / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (v2 / "ours" / "node").is_dir()


def test_processes_of_containers_count_and_strangers_do_not(v1: Path) -> None:
    cgroups.create("ours", v1)
    pod = v1 / "pids" / "ours" / "kubepods" / "pod1"
    pod.mkdir(parents=True)
    (pod / "cgroup.procs").write_text("41\n42\n")
    (v1 / "pids" / "ours" / "node" / "cgroup.procs").write_text("40\n")
    (v1 / "pids" / "cgroup.procs").write_text("1\n2\n")
    assert cgroups.processes("ours", v1) == {40, 41, 42}


def test_a_group_that_is_not_there_has_no_processes_and_is_removed_already(v1: Path) -> None:
    """`down` runs on machines where there is nothing."""
    assert cgroups.processes("absent", v1) == set()
    cgroups.remove("absent", v1)


def test_the_deepest_groups_go_first(v1: Path) -> None:
    (v1 / "memory" / "ours" / "kubepods" / "pod1").mkdir(parents=True)
    (v1 / "pids" / "ours" / "node").mkdir(parents=True)
    cgroups.remove("ours", v1)
    assert not list(v1.glob("*/ours"))
