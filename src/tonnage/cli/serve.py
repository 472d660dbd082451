"""`tonnage serve`: retriever, ranker and recommender on this machine, without a cluster."""

import json
import shlex
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, ProjectFile
from tonnage.cli.project import Project
from tonnage.telemetry import Progress, Spoken

if TYPE_CHECKING:
    from tonnage.serving.local import LocalService

app = typer.Typer(help="Run the three bentos on this machine, without a cluster.")

Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Of the recommender; 0 takes a free one.")
]
Directory = Annotated[
    Path | None,
    typer.Option("--release", help="A release directory; by default the project's, made if need be."),
]


@app.callback(invoke_without_command=True)
def serve(project: ProjectFile = DEFAULT, port: Port = 3000, release: Directory = None) -> None:
    """Run the three bentos on this machine, ask one question, and go on until Ctrl-C.

    What is missing on the way from the data to a release is made first. The online store is an SQLite file in
    build/features; logs are in build/serve.
    """
    from tonnage.packaging.config import PackagingConfig
    from tonnage.packaging.sources import Sources
    from tonnage.serving.local import serve_locally, watch

    # `kill` and a terminal that closes end the services as Ctrl-C does, also while they start.
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _stop)
    opened = Project.open(project)
    progress = Spoken()
    directory = release or stages.release(opened, progress).directory
    with serve_locally(
        directory,
        online_store=_online_store(opened, progress),
        bentos_dir=Sources.find(opened.section("packaging", PackagingConfig)).root / "bentos",
        work_dir=opened.root / "build" / "serve",
        port=port,
        progress=progress,
    ) as services:
        try:
            _show(services[-1], _somebody(opened))
            watch(services)
        except KeyboardInterrupt:
            progress.say("stopping")


def _online_store(project: Project, progress: Progress) -> str:
    from tonnage.features.store import materialize

    file = project.features / "online.db"
    url = f"sqlite:///{file}"
    rows = sorted((project.features / "rows").glob("*.parquet"))
    key = stages.key_of("online", [stages.stamp(each) for each in rows], stages.source_digest("features"))
    if rows:
        stages.unless_done(
            "online store", key, file, progress, lambda: materialize(project.features, url, progress=progress)
        )
    return url


def _somebody(project: Project) -> str:
    """A user whom the data know, if there are data."""
    import pyarrow.parquet as pq

    file = project.data / "users.parquet"
    if not file.exists():
        return "somebody"
    return str(next(pq.ParquetFile(file).iter_batches(1, columns=["user_id"]))["user_id"][0])


def _show(recommender: "LocalService", user: str) -> None:
    from tonnage.serving.local import post

    body = {"user_id": user, "k": 5}
    path = "/v1/recommendations"
    header = shlex.quote("content-type: application/json")
    typer.echo(f"\ncurl -s -H {header} -d {shlex.quote(json.dumps(body))} {recommender.url}{path}")
    _, answer = post(recommender, path, body)
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    typer.echo(f"\n{recommender.url}/docs; logs in {recommender.log.parent}; Ctrl-C ends the services.")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
