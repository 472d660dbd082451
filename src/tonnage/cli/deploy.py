"""`tonnage deploy`: what was packaged, onto a cluster."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonnage.cli.options import DEFAULT, Name, ProjectFile
from tonnage.cli.project import Project
from tonnage.telemetry import Spoken

if TYPE_CHECKING:
    from tonnage.deployment.access import ClusterAccess
    from tonnage.deployment.config import DeploymentConfig

app = typer.Typer(
    help="Install the packaged release with Helm, or upgrade to it, and bring the features to its Redis.\n\n"
    "It does what `helm upgrade --install --wait` with build/packaging/values.yaml does, in a namespace "
    "with Pod Security restricted, and says why when a pod does not get ready."
)


@app.callback(invoke_without_command=True)
def deploy(
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Made if it is not there.")
    ] = None,
    values: Annotated[
        list[Path] | None, typer.Option("--values", "-f", help="More Helm values; may be repeated.")
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="A kubeconfig context instead of the embedded cluster.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="Where to find it.")] = None,
    gateway_url: Annotated[
        str | None, typer.Option("--gateway-url", help="Where that cluster's Gateway answers.")
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", help="Seconds within which every pod must be ready.")
    ] = None,
) -> None:
    """Install the packaged release with Helm, or upgrade to it, and bring the features to its Redis."""
    from tonnage.deployment.config import DeploymentConfig
    from tonnage.deployment.deploying import commands
    from tonnage.deployment.deploying import deploy as deploy_to

    opened = Project.open(project)
    given = {
        "name": name,
        "namespace": namespace,
        "context": context,
        "kubeconfig": kubeconfig,
        "gateway_url": gateway_url,
        "timeout_s": timeout_s,
    }
    config = opened.section("deployment", DeploymentConfig).overridden(
        root=opened.root, values=values or (), **given
    )
    access = cluster_of(config)
    deployed = deploy_to(
        access,
        config,
        values=[opened.packaging / "values.yaml"],
        features=opened.features,
        progress=Spoken(),
    )
    for line in commands(access, deployed):
        typer.echo(line)


def cluster_of(config: "DeploymentConfig") -> "ClusterAccess":
    """The cluster that the settings name; without any, the embedded one."""
    from tonnage.deployment.access import ClusterAccess

    if config.context or config.kubeconfig:
        return ClusterAccess(
            context=config.context, kubeconfig=config.kubeconfig, gateway_url=config.gateway_url
        )
    from tonnage.deployment.embedded import cluster
    from tonnage.deployment.embedded.config import EmbeddedConfig

    return cluster.access(EmbeddedConfig.of(os.environ))
