"""`tonnage load run`: Locust and the gate in one command, against real services of a small shop."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.loadtests.conftest import LOADTESTS, running, said

from tonnage.load.runs import Run

TONNAGE = Path(sys.executable).with_name("tonnage")

SLO = """\
[requests]
warm_up_s = 1
least = 20
least_seconds = 2
[latency.at_most_ms]
p50 = {p50}
"""


def command(directory: Path, told: Sequence[str], *, p50: float = 2000) -> list[str]:
    (directory / "slo.toml").write_text(SLO.format(p50=p50), encoding="ascii")
    ours = (
        "load",
        "run",
        "--slo",
        "slo.toml",
        "--run-dir",
        "run",
        "--junit",
        "junit.xml",
        "--output",
        "json",
    )
    locust = ("--locustfile", str(LOADTESTS / "locustfile.py"), "--users", "10", "--spawn-rate", "10")
    return [str(TONNAGE), *ours, "--", *locust, *told]


def done(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=directory, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("p50", "code", "outcome"), [(2000, 0, "pass"), (0.01, 1, "fail")])
def test_it_ends_as_the_gate_does(small_shop, tmp_path, p50, code, outcome):
    told = ("--host", small_shop.recommender.url, "--run-time", "5s", "--project", str(small_shop.project))
    ended = done(command(tmp_path, told, p50=p50), tmp_path)
    assert ended.returncode == code, ended.stderr
    assert json.loads(ended.stdout)["outcome"] == outcome
    assert (tmp_path / "junit.xml").exists()
    assert len(Run(tmp_path / "run").requests) >= 20


def test_a_host_that_does_not_answer_is_an_error_in_one_sentence(tmp_path):
    ended = done(command(tmp_path, ("--host", "http://127.0.0.1:9", "--run-time", "5s")), tmp_path)
    assert ended.returncode == 3
    assert "nobody answers at http://127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


def test_interrupted_it_ends_locust_and_keeps_what_it_measured(small_shop, tmp_path):
    """By SIGTERM, as a pod that is deleted; Ctrl-C takes the same way."""
    told = ("--host", small_shop.recommender.url, "--run-time", "1h", "--project", str(small_shop.project))
    with running(command(tmp_path, told), tmp_path) as process:
        said(process, "All users spawned")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 3
        assert "the run was interrupted" in (process.stdout.read() if process.stdout else "")
    assert Run(tmp_path / "run").facts.interrupted
