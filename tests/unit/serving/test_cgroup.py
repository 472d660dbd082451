"""How many threads a container's limit allows."""

import os

import pytest

from tonnage.serving.memory.cgroup import Usage, cpu_limit, memory_limit, threads, usage


def test_a_limit_of_version_2_counts(tmp_path):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert cpu_limit(tmp_path) == 0.5
    assert threads(root=tmp_path) == 1


def test_a_limit_of_version_1_counts(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_limit(tmp_path) == 1.0


def test_no_limit_leaves_what_the_process_may_run_on(tmp_path):
    available = len(os.sched_getaffinity(0))
    assert cpu_limit(tmp_path) == available
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_limit(tmp_path) == available
    assert threads(available * 3, root=tmp_path) == 1


MIB = 2**20


def written(directory, **files):
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(f"{content}\n")
    return directory


def member_of(tmp_path, *lines):
    file = tmp_path / "membership"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_memory_of_version_2_is_read_as_the_kubelet_reads_it(tmp_path):
    """And beside it what cannot be dropped: a mapped index counts, files that were read do not."""
    root = written(
        tmp_path / "cgroup",
        memory__max=512 * MIB,
        memory__current=300 * MIB,
        memory__stat=f"inactive_file {40 * MIB}\nactive_file {150 * MIB}\nfile_mapped {120 * MIB}",
    )
    found = usage(root, member_of(tmp_path, "0::/"))
    # Of 190 MiB of page cache 120 are mapped; the other 70 can go.
    assert found == Usage(current=300 * MIB, working_set=260 * MIB, needed=230 * MIB, limit=512 * MIB)


def test_memory_of_version_1_is_read_as_the_kubelet_reads_it(tmp_path):
    root = tmp_path / "cgroup"
    written(
        root / "memory",
        memory__limit_in_bytes=256 * MIB,
        memory__usage_in_bytes=200 * MIB,
        # Version 1 tells the group's own figure and that of its whole tree.
        memory__stat=f"inactive_file {1 * MIB}\ntotal_inactive_file {30 * MIB}",
    )
    found = usage(root, member_of(tmp_path, "4:memory:/", "0::/"))
    assert found == Usage(current=200 * MIB, working_set=170 * MIB, needed=170 * MIB, limit=256 * MIB)


def test_no_limit_is_written_differently_by_each_version(tmp_path):
    membership = member_of(tmp_path, "0::/")
    assert memory_limit(written(tmp_path / "two", memory__max="max"), membership) is None
    written(tmp_path / "one" / "memory", memory__limit_in_bytes=2**63 - 4096)
    assert memory_limit(tmp_path / "one", membership) is None
    assert memory_limit(tmp_path / "nothing mounted", membership) is None
    assert usage(tmp_path / "nothing mounted", membership) is None


def test_the_smallest_limit_on_the_way_up_holds(tmp_path):
    """A pod's group limits the containers in it, whatever they are told themselves."""
    root = tmp_path / "cgroup"
    written(root, memory__max="max")
    written(root / "pod", memory__max=256 * MIB)
    written(root / "pod" / "retriever", memory__max=512 * MIB, memory__current=MIB)
    found = usage(root, member_of(tmp_path, "0::/pod/retriever"))
    assert found == Usage(current=MIB, working_set=MIB, needed=MIB, limit=256 * MIB)


@pytest.mark.parametrize("path", ["/kubepods/pod1/retriever", "/../../elsewhere"])
def test_a_container_that_reads_its_hosts_path_finds_its_own_group_at_the_root(tmp_path, path):
    root = written(tmp_path / "cgroup", memory__max=64 * MIB, memory__current=MIB)
    assert memory_limit(root, member_of(tmp_path, f"0::{path}")) == 64 * MIB
