"""`tonnage features`: compute the rows, bring them to an online store, look at one as serving sees it."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, As, Output, ProjectFile
from tonnage.cli.project import Project
from tonnage.telemetry import Spoken

if TYPE_CHECKING:
    from rich.table import Table

    from tonnage.features.rows import UserRow

app = typer.Typer(
    help="Feature rows: compute them, bring them to an online store, look at one.", no_args_is_help=True
)

Online = Annotated[
    str | None,
    typer.Option(
        "--online",
        help="redis://host:port/0, or sqlite:////absolute/path.db.  [default: build/features/online.db]",
        show_default=False,
    ),
]


@app.command()
def build(project: ProjectFile = DEFAULT) -> None:
    """Compute the feature rows, and the data below them, where anything has changed."""
    stages.features(Project.open(project), Spoken())


@app.command()
def materialize(online: Online = None, project: ProjectFile = DEFAULT) -> None:
    """Write the latest row of every user to the online store."""
    from tonnage.features.store import materialize

    opened, progress = Project.open(project), Spoken()
    url = online or _default(opened)
    with progress.stage("materialize"):
        users = materialize(opened.features, url, progress=progress)
    typer.echo(f"{users} users")


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="A user id.", show_default=False)],
    online: Online = None,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """One user's row as serving sees it: the online store's, with the events since folded in."""
    from tonnage.domain import UserId
    from tonnage.features.online import open_online
    from tonnage.features.rows import with_session
    from tonnage.features.sessions import open_sessions

    url = online or _default(Project.open(project))
    # A person can wait longer than a request, also for a tunnel into a cluster.
    stored = open_online(url, timeout_s=5).read(UserId(user))
    row = with_session(stored, open_sessions(url, timeout_s=5).read(UserId(user)))
    if output is Output.JSON:
        typer.echo(json.dumps(_plain(row)))
        return
    from rich.console import Console

    console = Console()
    for table in _tables(user, row):
        console.print(table)


def _default(project: Project) -> str:
    return f"sqlite:///{project.features / 'online.db'}"


def _plain(row: "UserRow") -> dict[str, Any]:
    """The row in JSON's types; a value that is not there is null."""
    history = row.history
    entries = zip(
        history.items,
        history.orders.tolist(),
        history.quantities.tolist(),
        history.first_at.tolist(),
        history.last_at.tolist(),
        strict=True,
    )
    names = ("item_id", "orders", "quantity", "first_at", "last_at")
    return {
        "demographics": dict(row.demographics),
        "values": {name: None if math.isnan(value) else value for name, value in row.values.items()},
        "history": [dict(zip(names, entry, strict=True)) for entry in entries],
    }


def _tables(user: str, row: "UserRow") -> "list[Table]":
    from rich.table import Table

    plain = _plain(row)
    values = Table("feature", "value", title=f"User {user}", title_justify="left")
    for name, value in {**plain["demographics"], **plain["values"]}.items():
        values.add_row(name, _words(name, value))
    history = Table("item", "orders", "quantity", "first", "last", title="History, the latest first")
    for entry in reversed(plain["history"]):
        history.add_row(*_entry(entry))
    return [values, history]


def _entry(entry: Mapping[str, Any]) -> list[str]:
    return [_words(name, value) for name, value in entry.items()]


def _words(name: str, value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if name.endswith("_at"):
        return datetime.fromtimestamp(value, UTC).isoformat(sep=" ", timespec="seconds")
    return f"{value:g}"
