"""`tonnage load gate`: exit codes that a CI job can trust, and one sentence for what is wrong."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result
from tests.factories.load_run import Made, pod_rows
from typer.testing import CliRunner

from tonnage.cli import build

SLO = """
[requests]
least_seconds = 30

[latency.at_most_ms]
p99 = 80

[server]
oom_kills = 0
"""


@pytest.fixture
def slo(tmp_path: Path) -> Path:
    file = tmp_path / "slo.toml"
    file.write_text(SLO)
    return file


def gate(*arguments: object) -> Result:
    return CliRunner().invoke(build(), ["load", "gate", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("made", "code", "says"),
    [
        ({}, 0, "verdict: pass"),
        ({"median_ms": 60}, 1, "fail          p99: "),
        ({"generator": {"cpu_share_mean": 0.99}}, 3, "error         generator: the generator was saturated"),
        ({"pods": None}, 3, "error         OOMKills: not sampled"),
        ({"pods": pod_rows(120, oom_killed=True)}, 1, "fail          OOMKills: OOMKilled"),
    ],
)
def test_the_exit_code_is_the_verdict_and_the_reason_is_printed(
    tmp_path: Path, slo: Path, made: dict[str, Any], code: int, says: str
) -> None:
    Made(**made).write(tmp_path / "run")
    result = gate(tmp_path / "run", "--slo", slo)
    assert result.exit_code == code
    assert says in result.output


def test_json_and_junit_tell_the_same_verdict(tmp_path: Path, slo: Path) -> None:
    Made(median_ms=60).write(tmp_path / "run")
    result = gate(tmp_path / "run", "--slo", slo, "--output", "json", "--junit", tmp_path / "ci" / "gate.xml")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["outcome"]) == (1, "fail")
    assert told["parts"][0]["figures"]["p99_ms"] > 80
    suites = ET.parse(tmp_path / "ci" / "gate.xml").getroot()  # noqa: S314 - it was written here
    assert suites.get("failures") == "1"
    assert suites.find("testsuite").get("timestamp") == "2026-03-01T12:00:00+00:00"  # type: ignore[union-attr]


def test_runs_are_compared_with_a_folder_of_kept_ones(tmp_path: Path, slo: Path) -> None:
    for number in range(3):
        Made(seed=number, began=10 * number).write(tmp_path / "kept" / f"{number}")
        Made(seed=50 + number, began=10 * number + 5).write(tmp_path / "equal" / f"{number}")
        Made(seed=90 + number, began=10 * number + 5, median_ms=30).write(tmp_path / "slow" / f"{number}")
    assert gate(tmp_path / "equal", "--slo", slo, "--against", tmp_path / "kept").exit_code == 0
    slower = gate(tmp_path / "slow", "--slo", slo, "--against", tmp_path / "kept")
    assert slower.exit_code == 1
    assert "against kept runs: fail" in slower.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "--slo", "slo.toml"], "there is no run"),
        (["run", "--slo", "none.toml"], "there is no such file"),
        (["run", "--slo", "unknown.toml"], "server.memory: unknown key"),
        (["run", "--slo", "run/run.json"], "not valid TOML"),
        (["broken", "--slo", "slo.toml"], "not the rows of a run"),
        (["run", "--slo", "slo.toml", "--junit", "slo.toml/gate.xml"], "cannot be written"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_error(
    tmp_path: Path, slo: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    """A CI job must not take a mistyped path for a release that failed, nor for one that passed."""
    monkeypatch.chdir(tmp_path)
    Made(rate=20).write(tmp_path / "run")
    Made(rate=20).write(tmp_path / "broken")
    (tmp_path / "broken" / "requests.parquet").write_bytes(b"PAR1")
    (tmp_path / "unknown.toml").write_text("[server]\nmemory = 1\n")
    result = gate(*arguments)
    assert result.exit_code == 3
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "--slo", "slo.toml", "--output", "xml"]])
def test_a_wrong_command_line_is_an_error_too(arguments: list[str]) -> None:
    assert CliRunner().invoke(build(), ["load", "gate", *arguments]).exit_code == 3


def test_the_help_says_what_the_exit_codes_mean() -> None:
    told = " ".join(gate("--help").output.split())
    for said in ("0 everything passes", "1 something fails", "3 something could not be judged", "--against"):
        assert said in told


def test_sampling_a_run_that_is_over_is_refused(tmp_path: Path) -> None:
    Made(rate=1).write(tmp_path / "run")
    result = CliRunner().invoke(build(), ["load", "sample", str(tmp_path / "run")])
    assert result.exit_code == 3
    assert "the run is over already" in result.stderr


def test_sampling_without_a_cluster_is_one_sentence(tmp_path: Path) -> None:
    """Kubectl's own words, whatever it lacks."""
    project = tmp_path / "tonnage.toml"
    project.write_text('[deployment]\nkubeconfig = "none.yaml"\ncontext = "nobody"\n')
    result = CliRunner().invoke(build(), ["load", "sample", str(tmp_path / "run"), "--project", str(project)])
    assert result.exit_code == 3
    assert result.stderr.startswith("tonnage: ")
    assert "Traceback" not in result.output
