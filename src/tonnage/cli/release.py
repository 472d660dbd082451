"""`tonnage release`: what is registered, who is champion, and changing it."""

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, As, Output, ProjectFile
from tonnage.cli.project import Project

if TYPE_CHECKING:
    from rich.table import Table

    from tonnage.releases.registry import Registered, Registry


app = typer.Typer(
    help="Releases in the registry: list, show, promote, roll back, fetch.\n\n"
    "The registry is MLflow: an SQLite file in build/mlflow, or the server that \\[registry] uri names. "
    "The champion is what should serve; the challenger is the newest release that beat its baselines.",
    no_args_is_help=True,
)

Name = Annotated[
    str, typer.Argument(help="Release id, or champion, challenger, previous.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]


@app.command("list")
def list_(project: ProjectFile = DEFAULT, output: As = Output.TABLE) -> None:
    """Every registered release, the newest first."""
    releases = _registry(project).list()
    _show([asdict(each) for each in releases], lambda: _releases_table(releases), output)


@app.command()
def show(name: Name = "champion", project: ProjectFile = DEFAULT, output: As = Output.TABLE) -> None:
    """One release: its metrics, and what it was made with."""
    details = _registry(project).show(name)
    _show(asdict(details), lambda: _details_table(asdict(details)), output)


@app.command()
def promote(
    name: Name,
    reason: Reason = "",
    force: Annotated[bool, typer.Option("--force", help="Also a rejected release; needs --reason.")] = False,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """Make a release champion; the former champion becomes previous.

    Nothing in a cluster moves: deploy the new champion with `tonnage package` and `tonnage deploy`.
    """
    release = _registry(project).promote(name, by=getpass.getuser(), reason=reason, force=force)
    _show(asdict(release), lambda: f"{release.id} is champion", output)


@app.command()
def rollback(reason: Reason = "", project: ProjectFile = DEFAULT, output: As = Output.TABLE) -> None:
    """Make the champion before this one champion again; once more walks one further back."""
    release = _registry(project).rollback(by=getpass.getuser(), reason=reason)
    _show(asdict(release), lambda: f"{release.id} is champion again", output)


@app.command()
def history(project: ProjectFile = DEFAULT, output: As = Output.TABLE) -> None:
    """Who was champion when, by whose hand and why; the oldest first."""
    entries = [asdict(each) for each in _registry(project).history()]
    columns = ("at", "action", "release", "by", "reason")
    _show(
        entries,
        lambda: _table(columns, [[_text(each[name]) for name in columns] for each in entries]),
        output,
    )


@app.command()
def fetch(
    name: Name = "champion",
    to: Annotated[Path | None, typer.Option("--to", help="Directory; build/releases by default.")] = None,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """Download a release and prove that it is the one that was registered."""
    release = _registry(project).fetch(name, to or Project.open(project).releases)
    _show(
        {"id": release.id, "directory": str(release.directory)},
        lambda: f"{release.id} is in {release.directory}",
        output,
    )


@app.command()
def register(
    directory: Annotated[Path, typer.Argument(help="A release directory, such as build/releases/r-....")],
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """Register a release that was made elsewhere; `tonnage train` does it for its own."""
    from tonnage.releases.release import open_release

    release = _registry(project).register(open_release(directory))
    _show(asdict(release), lambda: _releases_table([release]), output)


def _registry(project: Path) -> "Registry":
    return stages.registry(Project.open(project))


def _show(content: object, readable: Any, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(content, indent=2, default=_text))
        return
    from rich.console import Console

    Console().print(readable(), highlight=False)


def _releases_table(releases: "Sequence[Registered]") -> "Table":
    columns = ("version", "release", "status", "aliases", "registered")
    rows = [
        [str(each.version), each.id, each.status, ", ".join(each.aliases), _text(each.registered_at)]
        for each in releases
    ]
    return _table(columns, rows)


def _details_table(details: Mapping[str, Any]) -> "Table":
    rows = [[name, _text(value)] for name, value in details["registered"].items()]
    rows += [[name, f"{value:.4f}"] for name, value in sorted(details["metrics"].items())]
    rows += [[name, value] for name, value in sorted(details["params"].items())]
    return _table(("what", "value"), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
