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


ProjectFile = Annotated[Path, typer.Option("--project", help="The project's tonnage.toml.")]
As = Annotated[Output, typer.Option("--output", "-o", help="A table to read, or JSON for a script.")]
