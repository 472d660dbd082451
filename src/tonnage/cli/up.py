"""`tonnage up`: the whole voyage in one command."""

import json
import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, ProjectFile
from tonnage.cli.project import Project
from tonnage.errors import TonnageError
from tonnage.telemetry import Progress, Spoken

if TYPE_CHECKING:
    from tonnage.releases.release import Release

app = typer.Typer(help="From the project's data to an answered recommendation on the embedded Kubernetes.")


@app.callback(invoke_without_command=True)
def up(project: ProjectFile = DEFAULT) -> None:
    """From the project's data to an answered recommendation on the embedded Kubernetes.

    Data, features, a trained and registered release, three images, a running Kubernetes, the chart
    installed, and one question asked through the Gateway. Run again it does only what changed; interrupted
    at any moment, it goes on where it was. The cluster is built and booted while the release is made.
    """
    from tonnage.deployment.config import DeploymentConfig
    from tonnage.deployment.deploying import commands, deploy
    from tonnage.deployment.embedded import cluster, requirements
    from tonnage.deployment.embedded.config import EmbeddedConfig
    from tonnage.packaging.bentos import demand_visible

    opened = Project.open(project)
    demand_visible(opened.packaging)
    embedded = EmbeddedConfig.of(os.environ)
    deployment = opened.section("deployment", DeploymentConfig)
    record = opened.root / "build" / "up.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    progress = Spoken(record=record)
    requirements.check_rights()
    requirements.provide_packages(embedded.sources / "packages.txt", progress)
    with progress.stage("up"), ThreadPoolExecutor(max_workers=1) as beside:
        booting = beside.submit(cluster.up, embedded, progress=progress)
        try:
            made = stages.release(opened, progress)
            release = chosen(opened, made, progress)
            # Packaging gets to the loading of the images without a cluster.
            sink = stages.embedded_sink(embedded, ready=booting.result)
            packaged = stages.package(opened, release, sink, progress)
            access = booting.result()
        except TonnageError as error:
            # Said now: leaving this block waits for the cluster, which may be minutes from done.
            progress.say(f"cannot go on: {error}")
            raise
        deployed = deploy(
            access, deployment, values=[packaged.values_path], features=opened.features, progress=progress
        )
    show(made, commands(access, deployed))


def chosen(project: Project, made: "Release", progress: Progress) -> "Release":
    """The release to deploy: the one just made if it beat its baselines, else the champion if there is."""
    registry = stages.registry(project)
    champion = registry.champion()
    if made.manifest.evaluation.accepted:
        if champion is None or champion.id != made.id:
            registry.promote(made.id, by="tonnage up", reason="newest release that beat every baseline")
        return made
    progress.say(f"{made.id} is REJECTED: {'; '.join(made.manifest.evaluation.reasons)}")
    if champion is not None:
        progress.say(f"the champion {champion.id} is deployed instead")
        return stages.release_named(project, champion.id)
    progress.say("there is no champion yet, so it is deployed all the same, for you to look at")
    return made


def show(made: "Release", further: list[str]) -> None:
    """Print what a person wants to see at the end: how good the release is, and how to go on."""
    from rich.console import Console

    from tonnage.deployment.access import run
    from tonnage.training.evaluation import Evaluation

    Console().print(Evaluation.from_dict(made.manifest.evaluation.results).table())
    for line in further:
        typer.echo(line)
    # The last of them is the curl; what it prints is what it answers.
    answer = run(shlex.split(further[-1]), timeout_s=30)
    typer.echo(json.dumps(json.loads(answer), indent=2, ensure_ascii=False))
