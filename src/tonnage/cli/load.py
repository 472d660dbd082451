"""`tonnage load`: judge what a load run measured, and look at the pods while it runs."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonnage.cli.ending import interruptible
from tonnage.cli.judge import ERROR, Judging, cluster_seen, deployment_of
from tonnage.cli.load_line import line
from tonnage.cli.load_plan import plan, report
from tonnage.cli.options import DEFAULT, As, Context, Name, Namespace, Output, ProjectFile
from tonnage.cli.project import Project
from tonnage.errors import LoadError, TonnageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tonnage.load.junit import Judged
    from tonnage.load.runs import Run
    from tonnage.load.sampling import Sampler
    from tonnage.load.slo import Slo

app = typer.Typer(
    help="Load: judge a run by an objective, compare it with kept runs, size the deployment.\n\n"
    "Locust makes the runs: `locust -f loadtests/locustfile.py --run-dir DIR` writes one.",
    no_args_is_help=True,
)

POLL_S = 0.5


@app.callback()
def load() -> None:
    """Load: judge a run by an objective, compare it with kept runs, size the deployment."""


@app.command(cls=Judging)
def gate(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs, or folders that hold such folders."),
    ],
    slo: Annotated[
        Path, typer.Option("--slo", help="The objective, such as loadtests/slo/recommendations.toml.")
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="A kept run, or a folder of them, to compare with; may be repeated."),
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there, for CI.")] = None,
    output: As = Output.TABLE,
) -> None:
    """Judge load runs: do they hold the objective, and are they no worse than kept runs?

    Each run must hold every limit of the objective. `--against` compares with as many kept runs, taken in
    turn with them (run, kept, run, kept, ...; five of each see well, three are the least): every quantile,
    CPU time for an answer, memory, the share of bad answers. What is worse by more than the pairs differ
    among themselves is a regression.

    Exit codes: 0 everything passes, 1 something fails, 3 something could not be judged: the generator was
    saturated, a run was too short or had too few requests, the pods were not sampled, a file is wrong.
    """
    try:
        from tonnage.load.junit import as_json, overall, write_junit
        from tonnage.load.slo import Slo

        parts = _judged(_runs_in(runs), _runs_in(against or []), Slo.open(slo))
        if junit is not None:
            write_junit(parts, junit)
    except TonnageError as error:
        _fail(error, output)
    except OSError as error:
        _fail(LoadError(f"cannot be written: {error.strerror}", file=junit), output)
    verdict = overall(parts)
    if output is Output.JSON:
        typer.echo(as_json(parts))
    else:
        _show(parts)
        typer.echo(f"verdict: {verdict.outcome}")
    raise typer.Exit(verdict.outcome.exit_code)


@app.command(cls=Judging)
def run(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="-- LOCUST_ARGUMENT...",
            help="Locust's own, such as -f loadtests/locustfile.py --host http://127.0.0.1:8088 --users 20 "
            "--run-time 2m.",
        ),
    ],
    slo: Annotated[
        Path, typer.Option("--slo", help="The objective, such as loadtests/slo/recommendations.toml.")
    ],
    run_dir: Annotated[Path, typer.Option("--run-dir", help="The folder that gets the run.")],
    sampled: Annotated[
        bool | None,
        typer.Option(
            "--sample/--no-sample",
            help="Look at the deployment's pods meanwhile. By default where the objective asks of them.",
        ),
    ] = None,
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML there, for CI.")] = None,
    output: As = Output.TABLE,
) -> None:
    """Run Locust, look at the pods meanwhile, and judge: `sample` and `gate` around one command.

    Everything after `--` is Locust's; --headless and --run-dir are added. Ctrl-C ends Locust; what it has
    measured is kept, and is no pass.

    Exit codes: 0 everything passes, 1 something fails, 3 it could not be judged.
    """
    from tonnage.load.crowd import Pods, load
    from tonnage.load.slo import Slo

    try:
        objective = Slo.open(slo)
        pods = None
        if objective.server.asks if sampled is None else sampled:
            opened = Project.open(project)
            deployment = deployment_of(opened, {"name": name, "namespace": namespace, "context": context})
            access = cluster_seen(deployment)
            pods = Pods(access=access, name=deployment.name, namespace=deployment.namespace)
        with suppress(KeyboardInterrupt), interruptible():
            load(arguments, run_dir, pods=pods)
    except TonnageError as error:
        _fail(error, output)
    gate([run_dir], slo, junit=junit, output=output)


@app.command(cls=Judging)
def sample(
    run: Annotated[Path, typer.Argument(help="The folder that the run will be written to.")],
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 5.0,
) -> None:
    """Look at the deployment's pods until the run is written, and add what was seen to it.

    Start it beside Locust. Memory, queue and refusals come from the pods themselves, CPU and throttling from
    the kubelet (this needs the right to get `nodes/proxy`), restarts and OOMKills from the pods' states.
    Memory that a pod does not tell is the kubelet's or metrics-server's. What nobody tells is left empty, is
    named at the end, and is an error in `tonnage load gate` where the objective asks for it. Ctrl-C ends it;
    a run that is there by then gets what was seen.
    """
    from tonnage.load.runs import FACTS_FILE
    from tonnage.load.sampling import sampling

    facts = run / FACTS_FILE
    try:
        if facts.exists():
            raise LoadError("the run is over already", hint="Sample while it runs.", folder=run)
        opened = Project.open(project)
        deployment = deployment_of(opened, {"name": name, "namespace": namespace, "context": context})
        whose = {"name": deployment.name, "namespace": deployment.namespace}
        with sampling(cluster_seen(deployment), **whose, every_s=every) as sampler:
            typer.echo(f"looking at the pods of {deployment.name} until {run} is written", err=True)
            _await(facts)
        _add(run, sampler)
    except TonnageError as error:
        _fail(error, Output.TABLE)


def _await(file: Path) -> None:
    try:
        while not file.exists():
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def _add(folder: Path, sampler: "Sampler") -> None:
    from tonnage.load.sampling import add_samples

    columns = add_samples(folder, sampler)
    if columns is None:
        raise LoadError("no pod was looked at during the run", folder=folder)
    typer.echo(f"{len(columns['pod'])} samples of {len(set(columns['pod']))} pods added to {folder}")
    for what, why in sampler.missing.items():
        typer.echo(f"not always read: {what}: {why}", err=True)


def _runs_in(paths: "Sequence[Path]") -> "list[Run]":
    """The runs that are named, and those inside folders that are named."""
    from tonnage.load.runs import FACTS_FILE, Run

    folders: list[Path] = []
    for path in paths:
        inside = sorted(each.parent for each in path.glob(f"*/{FACTS_FILE}"))
        folders += inside if inside and not (path / FACTS_FILE).exists() else [path]
    return [Run(folder) for folder in folders]


def _judged(runs: "Sequence[Run]", kept: "Sequence[Run]", slo: "Slo") -> "list[Judged]":
    from tonnage.load import paired
    from tonnage.load.figures import summary
    from tonnage.load.gate import judge
    from tonnage.load.junit import Judged

    parts = [
        Judged(
            name=run.folder.resolve().name,
            verdict=judge(run, slo),
            figures=summary(run, slo),
            started=run.facts.started,
            seconds=run.facts.seconds,
        )
        for run in runs
    ]
    if kept:
        parts.append(Judged(name="against kept runs", verdict=paired.compare(runs, kept, slo)))
    return parts


def _show(parts: "Sequence[Judged]") -> None:
    for part in parts:
        if len(parts) > 1:
            typer.echo(f"{part.name}: {part.verdict.outcome}")
        for each in part.verdict.findings:
            typer.echo(f"{each.outcome:13} {each.check}: {each.reason}")


def _fail(error: TonnageError, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps({"outcome": "error", "reasons": [str(error)]}))
    typer.echo(f"tonnage: {error}", err=True)
    raise typer.Exit(ERROR) from error


app.command()(line)
app.command()(plan)
app.command()(report)
