"""`tonnage canary`: bring a new release to a few users, then to more, then to all; or take it back."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonnage.cli.judge import ERROR, Judging, cluster_seen, deployment_of, judge, prometheus_of, settings_of
from tonnage.cli.options import DEFAULT, As, Context, Name, Namespace, Output, ProjectFile, PrometheusAddress
from tonnage.cli.project import Project
from tonnage.errors import InputError, TonnageError
from tonnage.telemetry import Spoken

if TYPE_CHECKING:
    from tonnage.deployment.canary.config import CanaryConfig
    from tonnage.deployment.canary.rollout import Rollout
    from tonnage.deployment.canary.running import Ended

app = typer.Typer(
    help="Canaries: give a new release to a few users, judge it, promote or abort it.\n\n"
    "Everything is done with `helm upgrade` and read from the cluster, so each verb goes on where another, "
    "or a person, left off. Exit codes: 0 done, 1 aborted by the verdict, 2 undecided at the end of time, "
    "3 error.",
    no_args_is_help=True,
)
app.command(cls=Judging)(judge)

STOPPED = 128 + signal.SIGINT

Values = Annotated[
    Path | None,
    typer.Argument(help="The release's Helm values; else what `tonnage package` wrote last."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Seconds within which pods must be ready, at each step.")
]
Same = Annotated[bool, typer.Option("--same", help="Allow a canary that runs what stable runs.")]


@app.callback()
def canary() -> None:
    """Canaries: give a new release to a few users, judge it, promote or abort it."""


@app.command(cls=Judging)
def start(
    values: Values = None,
    weight: Annotated[
        int | None, typer.Option(min=0, max=100, help="Per cent of the users; else the first step.")
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Give it a copy of stable's traffic instead of users.")
    ] = False,
    same: Same = False,
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    timeout: Timeout = None,
    output: As = Output.TABLE,
) -> None:
    """Bring up a canary's pods, wait until they are ready, and give it its first users."""
    from tonnage.deployment.canary.tracks import read_candidate
    from tonnage.deployment.canary.verbs import start as begin

    with _answering(output):
        opened, rollout, config = _opened(project, name, namespace, context, timeout)
        candidate = read_candidate(values or _packaged(opened))
        if mirror and weight:
            raise InputError("who gets a copy of the traffic gets no users", hint="Leave --weight away.")
        share = 0 if mirror else config.steps[0] if weight is None else weight
        chosen = {**candidate, "mirror": True} if mirror else candidate
        _done(rollout, config, "started", begin(rollout, chosen, weight=share, same_release=same), output)


@app.command(cls=Judging)
def status(
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    output: As = Output.TABLE,
) -> None:
    """Show the tracks, their weights and pods, the step, who runs the canary, and the last verdict."""
    from tonnage.deployment.canary.status import status as seen

    with _answering(output):
        _, rollout, config = _opened(project, name, namespace, context)
        found = seen(rollout, config)
        typer.echo(json.dumps(found.as_json()) if output is Output.JSON else "\n".join(found.lines()))


@app.command(cls=Judging)
def step(
    weight: Annotated[
        int | None, typer.Argument(min=0, max=100, help="Per cent of the users; else the next step.")
    ] = None,
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    timeout: Timeout = None,
    output: As = Output.TABLE,
) -> None:
    """Give the canary its next share of the users; its pods are brought up before."""
    from tonnage.deployment.canary.verbs import step as take

    with _answering(output):
        _, rollout, config = _opened(project, name, namespace, context, timeout)
        _done(rollout, config, "stepped", take(rollout, weight, config), output)


@app.command(cls=Judging)
def promote(
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    timeout: Timeout = None,
    output: As = Output.TABLE,
) -> None:
    """Roll stable to the canary's release, give it all users back, and let the canary's pods go."""
    from tonnage.deployment.canary.verbs import promote as finish

    with _answering(output):
        _, rollout, config = _opened(project, name, namespace, context, timeout)
        _done(rollout, config, "promoted", finish(rollout), output)


@app.command(cls=Judging)
def abort(
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    timeout: Timeout = None,
    output: As = Output.TABLE,
) -> None:
    """Give stable all users back at once, then let the canary's pods go. It stops whoever runs the canary."""
    from tonnage.deployment.canary.verbs import abort as take_back

    with _answering(output):
        _, rollout, config = _opened(project, name, namespace, context, timeout)
        _done(rollout, config, "aborted", take_back(rollout), output)


@app.command(cls=Judging)
def run(
    values: Values = None,
    same: Same = False,
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    prometheus: PrometheusAddress = None,
    timeout: Timeout = None,
    output: As = Output.TABLE,
) -> None:
    """Walk the steps of `tonnage.toml`, judge as it goes, promote what passes and abort what fails.

    Exit codes: 0 promoted, 1 aborted by the verdict, 2 undecided at the end of `timeout_s`, 3 error.
    After 2 and 3 the traffic is where it was: `run` again goes on from there, `abort` takes it back. A run
    that was killed is taken up by the next.
    """
    from tonnage.deployment.canary.running import Run
    from tonnage.deployment.canary.tracks import read_candidate, running
    from tonnage.deployment.canary.watching import Watch

    with _answering(output):
        opened, rollout, config = _opened(project, name, namespace, context, timeout, prometheus=prometheus)
        asked = prometheus_of(config, rollout.access)
        watch = Watch(access=rollout.access, config=config, prometheus=asked, **rollout.where)
        candidate = None
        if values is not None or running(rollout.look().seen.tracks) is None:
            candidate = read_candidate(values or _packaged(opened))
        ended = Run(rollout=rollout, watch=watch, candidate=candidate, same_release=same).to_its_end()
        _end(rollout, config, ended, output)


def _opened(
    project: Path,
    name: str | None,
    namespace: str | None,
    context: str | None,
    timeout: float | None = None,
    **options: Any,
) -> "tuple[Project, Rollout, CanaryConfig]":
    from tonnage.deployment.canary.rollout import Rollout

    opened = Project.open(project)
    given = {"name": name, "namespace": namespace, "context": context, "timeout_s": timeout}
    deployment = deployment_of(opened, given)
    rollout = Rollout(cluster_seen(deployment), deployment, progress=Spoken())
    return opened, rollout, settings_of(opened, options)


def _packaged(project: Project) -> Path:
    """The values that were packaged last, for stable or for a canary."""
    files = [project.packaging / name for name in ("values.yaml", "values-canary.yaml")]
    return max(
        (each for each in files if each.is_file()), key=lambda each: each.stat().st_mtime, default=files[0]
    )


@contextmanager
def _answering(output: Output) -> Iterator[None]:
    """Say errors as such, with their own exit code, and end in order when told to."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    except TonnageError as error:
        if output is Output.JSON:
            typer.echo(json.dumps({"outcome": "error", "says": str(error)}))
        typer.echo(f"tonnage: {error}", err=True)
        raise typer.Exit(ERROR) from error
    except KeyboardInterrupt as error:
        # Click's own answer is 1, which means that the verdict was bad.
        typer.echo("tonnage: stopped; traffic is where it was, and `tonnage canary run` goes on", err=True)
        raise typer.Exit(STOPPED) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _done(rollout: "Rollout", config: "CanaryConfig", outcome: str, says: str, output: Output) -> None:
    if output is Output.JSON:
        _print(rollout, config, {"outcome": outcome, "says": says})
    else:
        typer.echo(says)


def _end(rollout: "Rollout", config: "CanaryConfig", ended: "Ended", output: Output) -> None:
    from tonnage.deployment.judge.gate import as_json
    from tonnage.deployment.judge.verdict import Outcome

    outcome = {Outcome.PASS: "promoted", Outcome.FAIL: "aborted"}.get(ended.outcome, str(ended.outcome))
    if output is Output.JSON:
        verdict = json.loads(as_json(ended.verdict)) if ended.verdict else None
        _print(rollout, config, {"outcome": outcome, "says": ended.says, "verdict": verdict})
    else:
        typer.echo(f"{outcome}: {ended.says}")
    raise typer.Exit(ended.outcome.exit_code)


def _print(rollout: "Rollout", config: "CanaryConfig", result: dict[str, Any]) -> None:
    """One JSON object: the result, and how everything stands after it."""
    from tonnage.deployment.canary.status import status as seen

    try:
        stands = seen(rollout, config).as_json()
    except TonnageError as error:
        stands = {"status_error": str(error)}
    typer.echo(json.dumps({**stands, **result}))
