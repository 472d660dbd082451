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
    from tonnage.serving.memory.plan import Plan


app = typer.Typer(
    help="Releases in the registry: list, show, promote, roll back, fetch; and what memory one needs.\n\n"
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


@app.command()
def plan(
    name: Annotated[
        str, typer.Argument(help="Release id, champion, challenger, previous, or latest.")
    ] = "latest",
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit",
            help="The retriever's limit as Kubernetes writes it, such as 512Mi; without it, none.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes of the retriever.")] = 1,
    hot_swap: Annotated[
        bool, typer.Option("--hot-swap", help="Keep room for a second index while one is replaced.")
    ] = False,
    index: Annotated[
        str | None, typer.Option("--index", help="Only this index variant.", show_default=False)
    ] = None,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """Which index a retriever would serve within a memory limit, and what its memory is for.

    The same plan that a retriever makes when it starts; what its processes hold before the first vector is
    measured there, and a constant here. Exits with 9 when no index fits.
    """
    from tonnage.serving.environment import Environment
    from tonnage.serving.memory.quantity import read_quantity
    from tonnage.serving.memory.start import plan_for

    limit = None if memory_limit is None else read_quantity(memory_limit)
    release = stages.release_named(Project.open(project), name)
    environment = Environment(workers=workers, hot_swap=hot_swap, index=index)
    made = plan_for(release, environment, limit=limit, measured=False)
    content = {"release": release.id, **made.as_json()}
    _show(content, lambda: _plan_table(made), output)


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


def _plan_table(made: "Plan") -> "Table":
    from tonnage.serving.memory.quantity import in_mib

    rows = [[each.name, in_mib(each.bytes), each.says] for each in made.terms]
    for each in made.choices:
        needs = (
            f"{each.verdict}: needs a limit of {in_mib(each.needed_bytes)}, finds {each.recall_at_100:.1%}"
        )
        rows.append(
            [each.name, in_mib(each.resident_bytes + each.swap_bytes), f"{needs} of the exact top 100"]
        )
    limit = "no limit" if made.limit is None else f"the limit is {in_mib(made.limit)}"
    rows.append(["in all", in_mib(made.planned_bytes), f"{made.chosen.name}, all of it resident; {limit}"])
    rows.append(["smallest limit", in_mib(made.smallest_limit), "with which some index fits"])
    return _table(("part", "memory", "what"), rows)


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
