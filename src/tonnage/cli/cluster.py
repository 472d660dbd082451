"""The verb `cluster`: a Kubernetes on this machine."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tonnage.cli.options import As, Output
from tonnage.deployment.embedded import cluster, requirements
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Spoken

app = typer.Typer(
    help="A real Kubernetes on this machine, without Docker and without a registry.",
    no_args_is_help=True,
)


@app.command()
def up(
    extras: Annotated[
        list[cluster.Extra] | None,
        typer.Option("--with", help="Add this too, also to a cluster that runs; it stays until down."),
    ] = None,
) -> None:
    """Bring the cluster up, and tell how to reach it.

    The first time, it builds Kubernetes and the add-ons (minutes; later runs take them from the cache) and
    installs Debian packages that are missing. It needs Linux, root and Go.

    Everything lives in namespaces of its own: ports, firewall rules, kernel settings, a Docker, a Kubernetes
    or a kubeconfig of this machine stay as they are. TONNAGE_STATE_DIR names another place, and so another
    cluster.
    """
    config = EmbeddedConfig.of(os.environ)
    access = cluster.up(config, progress=Spoken(), extras=extras or ())
    typer.echo(f"Gateway     {access.gateway_url}")
    typer.echo(f"Prometheus  {access.prometheus_url}")
    typer.echo(f"export KUBECONFIG={access.kubeconfig}")
    typer.echo(f"export PATH={Path(access.kubectl).parent}:$PATH")


@app.command()
def down() -> None:
    """Take the cluster away: processes, pods, mounts, network, state. What was built stays in the cache.

    Works after a crash and when there is nothing.
    """
    cluster.down(EmbeddedConfig.of(os.environ), progress=Spoken())


@app.command()
def status(output: As = Output.TABLE) -> None:
    """Tell whether it runs, and what does not. Exit code 0 if all of it runs, 1 if not."""
    found = cluster.status(EmbeddedConfig.of(os.environ))
    if output is Output.JSON:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        typer.echo(f"{'running' if found.running else 'not running'}   node: {found.node or 'unknown'}")
        for name, pid in found.processes.items():
            typer.echo(f"  {name:24} {f'pid {pid}' if pid else 'not running'}")
        for name, condition in found.extras.items():
            typer.echo(f"  {name:24} {condition}")
        for phase, count in found.pods.items():
            typer.echo(f"  {count:3} pods {phase}")
    raise typer.Exit(0 if found.running else 1)


@app.command()
def packages() -> None:
    """Install the Debian packages that the cluster, the images and the tests need; `up` does it too."""
    requirements.check_rights()
    requirements.provide_packages(EmbeddedConfig.of(os.environ).sources / "packages.txt", Spoken())


@app.command("load-image")
def load_image(
    archive: Annotated[
        Path, typer.Argument(help="A docker-archive or OCI archive (.tar) with one tagged image.")
    ],
) -> None:
    """Load an image into the cluster, and print the reference that a pod can pin (`name@sha256:...`)."""
    typer.echo(cluster.load_image(EmbeddedConfig.of(os.environ), archive).pinned)
