"""Releases are as bad as they are meant to be, and lines are compared neither generously nor unjustly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.factories.simulated_service import Retriever

from lines.equal import passing, windows
from lines.faults import COPIES, EXCEEDS, LEAKS, SLOW
from lines.held_out import alike, error
from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.load.line import LoadLine
from tonnage.load.slo import Slo
from tonnage.load.walking import walk

LINES = Path(__file__).parents[3] / "loadtests" / "lines"


def run(code: str, folder: Path, script: str) -> str:
    """What Python says that starts with a `sitecustomize.py`."""
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return said.stdout.strip()


@pytest.mark.parametrize("code", [LEAKS, SLOW, EXCEEDS], ids=["leaks", "slow", "exceeds"])
def test_python_spoils_the_retriever_as_it_starts(code: str, tmp_path: Path):
    """Or a good release would be found to be good."""
    asked = "from tonnage.serving.retriever import Retriever as R; print(R.infer.__module__)"
    assert run(code, tmp_path, asked) == "sitecustomize"


INDEX = """
import numpy as np
import sitecustomize
from types import SimpleNamespace


class Index:
    items = 1000

    def vectors(self, rows):
        return np.ones((len(rows), 8), np.float32)


self = SimpleNamespace(vectors=SimpleNamespace(index=Index()))
for _ in range(1500):
    assert sitecustomize.spoiled(lambda self, request: "answer", self, None) == "answer"
print(sum(each.nbytes for each in sitecustomize.UNPACKED))
"""


def test_an_index_is_unpacked_once_and_no_further(tmp_path: Path):
    """What grew for ever would be a leak, and found as one."""
    assert int(run(EXCEEDS, tmp_path, INDEX)) == COPIES * 1000 * 8 * 4


TWICE = """
import time
import sitecustomize

def usual(self, request):
    until = time.thread_time() + 0.02
    while time.thread_time() < until:
        pass

began = time.perf_counter()
sitecustomize.spoiled(usual, None, None)
print((time.perf_counter() - began) / 0.02)
"""


def test_a_slow_release_takes_more_than_twice_its_time(tmp_path: Path):
    assert float(run(SLOW, tmp_path, TWICE)) >= 2.9


def measured(items: int, seed: int = 7) -> LoadLine:
    service = Retriever(items=items, requests=1000, seed=seed)
    return walk(service.line(), service.places(room=(1.02, 1.5)), service, seconds=1, keep=lambda _: None)


@pytest.fixture(scope="module")
def line() -> LoadLine:
    return measured(15_000)


def test_a_line_is_like_itself_and_a_point_that_is_missing_is_a_miss(line: LoadLine):
    assert all(each.holds for each in alike([line], [line]))
    fewer = line.model_copy(update={"points": line.points[1:]})
    first, *others = alike([line], [fewer])
    assert not first.holds
    assert "not tried" in first.measured
    assert all(each.holds for each in others)


def test_a_rate_that_is_a_tenth_higher_is_not_the_same(line: LoadLine):
    point = line.points[0]
    assert point.highest_rate is not None
    higher = point.model_copy(update={"highest_rate": 1.11 * point.highest_rate, "high": None})
    [found] = alike(
        [line.model_copy(update={"points": (point,)})], [line.model_copy(update={"points": (higher,)})]
    )
    assert not found.holds
    assert "11.0% apart" in found.measured


def test_predictions_are_judged_by_points_that_the_model_did_not_see(line: LoadLine):
    fitted = [measured(2_000, seed=1), measured(20_000, seed=2)]
    found = error(fitted, [line])
    assert found.holds
    assert f"{len(line.points)} other limits" in found.name
    twice = [
        each.model_copy(update={"highest_rate": 2 * (each.highest_rate or 1), "high": None})
        for each in line.points
    ]
    assert not error(fitted, [line.model_copy(update={"points": tuple(twice)})]).holds
    nothing = error(fitted, [line.model_copy(update={"points": ()})])
    assert not nothing.holds


@pytest.mark.parametrize(("bad", "holds"), [(0, True), (1, True), (2, False)])
def test_nineteen_of_twenty_are_enough_and_eighteen_are_not(bad: int, holds: bool):
    def verdict(outcome: Outcome) -> Verdict:
        return together([Finding(check="p99", outcome=outcome, reason="slow")])

    verdicts = [*[verdict(Outcome.ERROR)] * bad, *[verdict(Outcome.PASS)] * (20 - bad)]
    assert passing("an equal release", verdicts).holds is holds


def test_each_comparison_is_of_neighbours():
    assert [list(each) for each in windows("abcd", 2)] == [["a", "b"], ["b", "c"], ["c", "d"]]


@pytest.mark.parametrize("name", ["short", "soak", "line"])
def test_the_objectives_of_the_drills_can_be_read(name: str):
    assert Slo.open(LINES / f"{name}.toml").latency.at_most_ms
