"""Options that more than one verb has, so that they read the same everywhere."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT = Path("tonnage.toml")


class Output(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


Name = Annotated[str | None, typer.Option("--name", help="The Helm release.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Where it is.")]
Context = Annotated[str | None, typer.Option("--context", help="A kubeconfig context.")]
PrometheusAddress = Annotated[str | None, typer.Option("--prometheus", help="Address of Prometheus.")]
ProjectFile = Annotated[Path, typer.Option("--project", help="The project's tonnage.toml.")]
As = Annotated[Output, typer.Option("--output", "-o", help="A table to read, or JSON for a script.")]
