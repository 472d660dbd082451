"""What is wrong before the cluster is asked, or when it cannot be: a sentence, and exit code 3."""

import json
from pathlib import Path

import pytest
import yaml
from tests.factories.tracks import NEW, track
from typer.testing import CliRunner, Result

from tonnage.cli import build
from tonnage.deployment.embedded import builds
from tonnage.deployment.embedded.config import EmbeddedConfig

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody}]
current-context: nowhere
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose API server is away; kubectl and Helm are real."""
    embedded = EmbeddedConfig.of({})
    tools = builds.tools(embedded.sources, embedded.cache)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    (tmp_path / "kubeconfig").write_text(KUBECONFIG, encoding="utf-8")
    (tmp_path / "tonnage.toml").write_text('[deployment]\nkubeconfig = "kubeconfig"\n', encoding="utf-8")
    (tmp_path / "new.yaml").write_text(yaml.safe_dump({"tracks": {"canary": track(NEW)}}), encoding="utf-8")
    return tmp_path


def canary(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        build(), ["canary", *arguments, "--project", str(project / "tonnage.toml"), "--output", "json"]
    )


@pytest.mark.parametrize("verb", ["start", "status", "step", "promote", "abort", "run"])
def test_an_api_server_that_is_away_is_an_error_with_its_sentence(verb: str, project: Path):
    given = [str(project / "new.yaml")] if verb in {"start", "run"} else []
    prometheus = ["--prometheus", "http://127.0.0.1:9"] if verb == "run" else []
    result = canary(project, verb, *given, *prometheus)
    assert result.exit_code == 3, result.output
    said = json.loads(result.stdout)
    assert said["outcome"] == "error"
    assert "connection refused" in said["says"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["start", "r-20260101-00000001"], "no such values file"),
        (["start", "new.yaml", "--mirror", "--weight", "5"], "gets no users"),
        (["run", "new.yaml"], "no Prometheus is named"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    arguments: list[str], says: str, project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project)
    result = canary(project, *arguments)
    assert result.exit_code == 3, result.output
    assert says in json.loads(result.stdout)["says"]


@pytest.mark.parametrize("arguments", [["step", "101"], ["start", "--weight", "-1"], ["promote", "now"]])
def test_a_wrong_command_line_is_an_error_and_no_verdict(arguments: list[str], project: Path):
    """2 means that a canary is not decided yet."""
    assert canary(project, *arguments).exit_code == 3
