"""What a line keeps of a run."""

from pathlib import Path

import pytest
from tests.factories.load_run import MIB, Made, pod_rows

from tonnage.deployment.judge.verdict import Outcome
from tonnage.load.gate import judge
from tonnage.load.line import Try
from tonnage.load.slo import Slo
from tonnage.load.tries import MOMENTS, try_of

SLO = Slo.read({"requests": {"warm_up_s": 10}, "latency": {"at_most_ms": {"p50": 30}}}, where="a test")


def tried(folder: Path, made: Made, slo: Slo = SLO) -> Try:
    folder.mkdir(exist_ok=True)
    run = made.write(folder / "run")
    return try_of(run, judge(run, slo), slo, rate=40, bento="ranker")


def test_a_pass_keeps_its_figures_and_gives_no_reasons(tmp_path: Path):
    found = tried(tmp_path, Made())
    assert (found.outcome, found.reasons, found.run) == (Outcome.PASS, (), "run")
    assert found.achieved == pytest.approx(40, rel=0.05)
    assert found.latency_ms["p50"] == pytest.approx(20, rel=0.1)
    assert found.generator_cpu == 0.3
    assert found.usage["ranker"].pods == 1


def test_a_rate_that_was_not_sent_is_not_carried(tmp_path: Path):
    """A generator that waits for its processor is not busy, and late."""
    found = tried(tmp_path, Made(rate=30))
    assert found.outcome is Outcome.ERROR
    assert "requests/s of 40; something else" in found.reasons[0]
    slow = Slo.read({"requests": {"warm_up_s": 10}, "latency": {"at_most_ms": {"p50": 10}}}, where="a test")
    assert tried(tmp_path / "slow", Made(rate=30), slow).outcome is Outcome.FAIL


def test_memory_over_time_is_of_the_walked_bento_and_keeps_its_peak(tmp_path: Path):
    mine = pod_rows(600, memory_working_set=lambda at_s: int((100 + at_s) * MIB))
    other = pod_rows(600, pod="shop-stable-retriever-0", memory_working_set=400 * MIB)
    others = [{**row, "bento": "retriever"} for row in other]
    found = tried(tmp_path, Made(seconds=600, pods=[*mine, *others]))
    assert found.memory_bytes == max(row["memory_working_set"] for row in mine)
    assert found.memory[-1][1] == found.memory_bytes
    assert 2 < len(found.memory) <= MOMENTS
    assert set(found.usage) == {"ranker", "retriever"}


def test_cpu_is_of_the_time_in_which_it_is_known(tmp_path: Path):
    """A kubelet tells every ten seconds or so; looks in between know nothing new."""
    rows = pod_rows(120, cpu_s=lambda at_s: at_s * 0.5)
    sparse = [{**row, "cpu_s": row["cpu_s"] if index % 4 == 1 else None} for index, row in enumerate(rows)]
    assert tried(tmp_path, Made(pods=sparse)).usage["ranker"].cpu_cores == pytest.approx(0.5)


def test_what_was_not_sampled_is_left_out(tmp_path: Path):
    found = tried(tmp_path, Made(pods=None))
    assert (found.usage, found.memory, found.memory_bytes) == ({}, (), None)


@pytest.mark.parametrize(
    "made", [Made(seconds=5), Made(generator={"cpu_share_mean": 0.9}), Made(facts={"interrupted": True})]
)
def test_what_could_not_be_judged_is_no_measurement(tmp_path: Path, made: Made):
    found = tried(tmp_path, made)
    assert (found.outcome, found.counts) == (Outcome.ERROR, False)
    assert found.reasons
