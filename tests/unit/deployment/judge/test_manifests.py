"""The objects with which other controllers ask the judge."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tonnage.cli import build
from tonnage.deployment.judge.gate import OPENS

MANIFESTS = Path(__file__).parents[4] / "manifests"
FILES = [*MANIFESTS.glob("argo-rollouts/*.yaml"), *MANIFESTS.glob("flagger/*.yaml")]

# Fields as the controllers' CustomResourceDefinitions name them (Argo Rollouts 1.9, Flagger 1.44), where
# these files use them.
METRIC = {"name", "count", "failureLimit", "provider"}
CANARY = {"provider", "targetRef", "service", "analysis"}
ANALYSIS = {"interval", "threshold", "stepWeights", "webhooks"}
WEBHOOK = {"name", "type", "url", "timeout"}


def objects() -> dict[str, Any]:
    return {each["kind"]: each for file in FILES for each in yaml.safe_load_all(file.read_text())}


def commands() -> list[list[str]]:
    job = objects()["AnalysisTemplate"]["spec"]["metrics"][0]["provider"]["job"]["spec"]["template"]["spec"]
    gate = objects()["Deployment"]["spec"]["template"]["spec"]
    return [pod["containers"][0]["command"] for pod in (job, gate)]


@pytest.mark.parametrize("command", commands(), ids=["argo-rollouts", "flagger"])
def test_what_a_manifest_runs_exists(command: list[str]):
    """A renamed option would be an error (3) in somebody's rollout."""
    assert command[:3] == ["tonnage", "canary", "judge"]
    verb: Any = get_command(build())
    for name in command[1:3]:
        verb = verb.commands[name]
    known = {option for each in verb.params for option in each.opts}
    assert {each.partition("=")[0] for each in command[3:]} <= known


def test_arguments_that_the_job_uses_are_declared():
    template = objects()["AnalysisTemplate"]["spec"]
    declared = {each["name"] for each in template["args"]}
    text = yaml.safe_dump(template["metrics"])
    used = {part.partition("}}")[0] for part in text.split("{{args.")[1:]}
    assert used == declared


def test_fields_are_those_that_the_controllers_know():
    found = objects()
    assert found["AnalysisTemplate"]["apiVersion"] == "argoproj.io/v1alpha1"
    assert set(found["AnalysisTemplate"]["spec"]["metrics"][0]) <= METRIC
    canary = found["Canary"]
    assert canary["apiVersion"] == "flagger.app/v1beta1"
    assert set(canary["spec"]) <= CANARY
    assert set(canary["spec"]["analysis"]) <= ANALYSIS
    assert all(set(each) <= WEBHOOK for each in canary["spec"]["analysis"]["webhooks"])


def test_the_webhooks_ask_what_the_gate_answers():
    hooks = objects()["Canary"]["spec"]["analysis"]["webhooks"]
    service = objects()["Service"]["metadata"]["name"]
    for hook in hooks:
        host, _, path = hook["url"].removeprefix("http://").partition("/")
        assert host.startswith(f"{service}.")
        assert f"/{path}" in OPENS
        assert path == hook["type"]


def test_a_job_that_failed_is_not_tried_again():
    """A second try would be a second judgement of the same canary, and Argo would take the better one."""
    job = objects()["AnalysisTemplate"]["spec"]["metrics"][0]["provider"]["job"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
