"""`tonnage data`: three validated tables from wherever interactions come."""

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, As, Output, ProjectFile
from tonnage.cli.project import Project
from tonnage.telemetry import Spoken

app = typer.Typer()


@app.callback(invoke_without_command=True)
def data(
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Make up a shop, whatever \\[dataset] source says.")
    ] = False,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    r"""Load the interactions, items and users; say what was left out, and why.

    Leaves interactions, items and users as Parquet in build/data beside
    tonnage.toml, and report.json with them, whole or not at all. What has not
    changed is not read again.

    Where the rows come from is \[dataset] source in tonnage.toml:

    online-retail, the default: a UK gift shop's 541,909 invoice lines,
    published by UCI. Read from \[dataset] path, else from the cache, else
    downloaded. When it cannot be had and tonnage.toml names no source, a shop
    is simulated instead.

    tables: CSV or Parquet files of yours. \[dataset.interactions],
    \[dataset.items] and \[dataset.users] name path and columns;
    examples/small-shop/tonnage.toml is a whole one. Whatever is wrong with the
    files is said at once, with file, column and row.

    simulator: a made-up shop whose tastes are known; \[dataset.simulator] sets
    its size and seed.
    """
    from rich.console import Console

    from tonnage.datasets.tables import read_report

    opened = Project.open(project)
    if simulate:
        dataset = {**opened.tables.get("dataset", {}), "source": "simulator"}
        opened = replace(opened, tables={**opened.tables, "dataset": dataset})
    stages.data(opened, Spoken())
    report = read_report(opened.data)
    if output is Output.JSON:
        typer.echo(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        Console().print(report.table(), highlight=False)
