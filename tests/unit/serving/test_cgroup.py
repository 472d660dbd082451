"""How many threads a container's limit allows."""

import os

from tonnage.serving.cgroup import cpu_limit, threads


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
