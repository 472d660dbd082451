"""`tonnage down`: take the embedded cluster away."""

import os

import typer

from tonnage.telemetry import Spoken

app = typer.Typer(help="Take the embedded Kubernetes away, and everything in it, leaving nothing behind.")


@app.callback(invoke_without_command=True)
def down() -> None:
    """Take the embedded Kubernetes away, and everything in it, leaving nothing behind.

    Processes, mounts, network devices, control groups and volumes go. What was trained and packaged
    (`build/`) and what was built for the cluster (the cache) stay, so that the next `tonnage up` is quick.
    """
    from tonnage.deployment.embedded import cluster
    from tonnage.deployment.embedded.config import EmbeddedConfig

    cluster.down(EmbeddedConfig.of(os.environ), progress=Spoken())
