"""`tonnage load line`: what a shop carries, by memory limit and precision."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonnage.cli.ending import interruptible
from tonnage.cli.judge import cluster_seen, deployment_of
from tonnage.cli.load_plan import line_table, show
from tonnage.cli.load_progress import shown
from tonnage.cli.options import DEFAULT, Context, Name, Namespace, ProjectFile
from tonnage.cli.project import Project
from tonnage.errors import ConfigError, LoadError, NotFoundError, TonnageError

if TYPE_CHECKING:
    from tonnage.deployment.access import ClusterAccess
    from tonnage.load.line import LoadLine, Place
    from tonnage.load.moving import Node
    from tonnage.load.searching import Search
    from tonnage.load.slo import Slo
    from tonnage.load.walked import Walked
    from tonnage.releases.release import Release

INTERRUPTED, UNMEASURED = 130, 3

LINE_FILE, REPORT_FILE = "load-line.json", "load-line.html"

STEP = 64 * 2**20
"""Bytes to which limits that nobody gave are rounded up."""


def line(
    slo: Annotated[
        Path, typer.Option("--slo", help="The objective, such as loadtests/slo/recommendations.toml.")
    ],
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--memory-limit",
            help="Of the retriever, such as 512Mi; may be repeated. By default the least that each precision "
            "needs.",
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", help="Index variant, such as hnsw-i8; may be repeated. By default all."),
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option("--people", help="Class of the locustfile that asks; may be repeated."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            help="Whom they ask; by default the cluster's Gateway. http://{pod}:3000 is the retriever's own "
            "pod, which needs --yes-load {pod} too.",
        ),
    ] = None,
    yes_load: Annotated[
        list[str] | None,
        typer.Option("--yes-load", help="Another machine than this one, which may be loaded."),
    ] = None,
    locustfile: Annotated[Path, typer.Option("--locustfile", help="Of the people.")] = Path(
        "loadtests/locustfile.py"
    ),
    processes: Annotated[int, typer.Option("--processes", help="Of Locust.", min=1)] = 1,
    seconds: Annotated[float, typer.Option("--seconds", help="That one try lasts, at least.", min=5)] = 60,
    start: Annotated[float, typer.Option("--start", help="Rate to try first, in requests/s.")] = 16,
    resolution: Annotated[
        float, typer.Option("--resolution", help="Share to which the highest rate is found.")
    ] = 0.05,
    confirmations: Annotated[
        int, typer.Option("--confirmations", help="Passes that the highest rate needs.", min=1)
    ] = 2,
    restart: Annotated[
        bool, typer.Option("--restart", help="Change limits by new pods, where they cannot be in place.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the line, its report and its runs.")
    ] = Path("build/load/line"),
    project: ProjectFile = DEFAULT,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Find the highest rate that a shop carries, at each memory limit with each precision that fits it.

    The retriever's limit is changed in the running pod; another precision is a Helm upgrade. Autoscalers rest
    meanwhile, and everything is put back at the end, after an error and after Ctrl-C. At each place rates go
    up until one breaks the objective, then between the last two; the highest is confirmed. Each rate is one
    run of Locust, kept in OUT/runs. What is measured is written after every try, as OUT/load-line.json, and
    the same command goes on where it was interrupted; `tonnage load plan` takes the file.

    Exit codes: 0 every place was measured, 3 one could not be, 130 interrupted.
    """
    from tonnage.cli.stages import release_named
    from tonnage.load.crowd import Crowd, Pods
    from tonnage.load.moving import Moving
    from tonnage.load.searching import Search
    from tonnage.load.walked import Walked

    opened = Project.open(project)
    objective = _objective(slo)
    search = Search.read(
        {"start": start, "resolution": resolution, "confirmations": confirmations},
        where="the line's options",
    )
    if not locustfile.is_file():
        raise NotFoundError("there is no locustfile", hint="Name it with --locustfile.", file=locustfile)
    deployment = deployment_of(opened, {"name": name, "namespace": namespace, "context": context})
    access = cluster_seen(deployment)
    moving = Moving(access, deployment, restart=restart)
    values = moving.settings().values
    confirmed = [part for each in yes_load or () for part in ("--yes-load", each)]
    crowd = Crowd(
        locustfile=locustfile,
        host=host or _gateway(access),
        people=tuple(people or ()),
        processes=processes,
        options=("--project", str(opened.root), *_gateway_host(values), *confirmed),
    )
    release = release_named(opened, moving.release)
    places = _places(release, limits or (), precisions or (), cores=moving.cores())
    begun = _begun(out, _empty(release, moving.node(), slo.stem, objective, search))
    walked = Walked(
        moving=moving,
        crowd=crowd,
        pods=Pods(access=access, name=deployment.name, namespace=deployment.namespace),
        slo=objective,
        seconds=seconds,
        runs=out / "runs",
    )
    _walk(begun, places, walked, out)


def _objective(file: Path) -> "Slo":
    """What a rate must hold.

    Raises:
        ConfigError: there is none, it is wrong, or nothing in it breaks when the rate grows.
    """
    from tonnage.load.slo import Slo

    objective = Slo.open(file)
    if not objective.latency.at_most_ms:
        raise ConfigError(
            "the objective limits no latency, which is what breaks first when the rate grows",
            hint="Give it a [latency.at_most_ms], such as p99 = 50.",
            file=file,
        )
    return objective


def _gateway(access: "ClusterAccess") -> str:
    if access.gateway_url is None:
        raise ConfigError(
            "nobody says whom the people ask",
            hint="Name it with --host, or the cluster's Gateway in [deployment] gateway_url.",
        )
    return access.gateway_url


def _gateway_host(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The name by which a Gateway knows the shop, if it has one."""
    names = (values.get("gateway") or {}).get("hostnames") or ()
    return ("--gateway-host", str(names[0])) if names else ()


def _places(
    release: "Release", limits: Sequence[str], precisions: Sequence[str], *, cores: float
) -> "tuple[Place, ...]":
    """Where the highest rate is searched for.

    Raises:
        ConfigError: an unknown precision, or nothing fits.
    """
    from tonnage.load.walking import places_of
    from tonnage.serving.environment import Environment
    from tonnage.serving.memory.quantity import in_mib, read_quantity
    from tonnage.serving.memory.start import plan_for

    weighed = plan_for(release, Environment(), limit=None, measured=False).choices
    known = [each.name for each in weighed]
    if unknown := [each for each in precisions if each not in known]:
        raise ConfigError(
            f"the release has no precision {', '.join(unknown)}",
            hint=f"It has {', '.join(known)}.",
            release=release.id,
        )
    chosen = [each for each in weighed if each.name in precisions or not precisions]
    asked = [read_quantity(each) for each in limits]
    asked = asked or [-(-each.needed_bytes // STEP) * STEP for each in chosen]
    floor = release.manifest.retrieval.recall_floor
    places = places_of(asked, chosen, cpu_cores=cores, floor=floor)
    if not places:
        least = min((each.needed_bytes for each in chosen if each.recall_at_100 >= floor), default=None)
        raise ConfigError(
            f"no precision fits {', '.join(limits) or 'any limit'}",
            hint=f"The least limit is {in_mib(least)}."
            if least
            else f"None reaches the recall floor {floor:.1%}.",
            release=release.id,
        )
    return places


def _empty(release: "Release", node: "Node", name: str, objective: "Slo", search: "Search") -> "LoadLine":
    from tonnage.load.line import LoadLine, Machine, Objective

    retrieval = release.manifest.retrieval
    return LoadLine(
        written=datetime.now(UTC),
        machine=Machine(processor=node.processor, cores=node.cores, memory_bytes=node.memory_bytes),
        release=release.id,
        items=len(release.items),
        dimensions=retrieval.dimensions,
        recall_floor=retrieval.recall_floor,
        objective=Objective.of(name, objective.latency.at_most_ms),
        search=search,
    )


def _begun(out: Path, empty: "LoadLine") -> "LoadLine":
    """The line to go on with: what is in the folder, or an empty one.

    Raises:
        LoadError: another line is in the folder.
    """
    from tonnage.load.line import read_line

    file = out / LINE_FILE
    if not file.exists():
        return empty
    found = read_line(file)
    changed = {"written": found.written, "points": found.points}
    if found != empty.model_copy(update=changed):
        raise LoadError(
            "the load line there is another: its release, its objective, its search or its machine",
            hint="Give --out a new folder, or the options that it was begun with.",
            file=file,
        )
    return found


def _walk(begun: "LoadLine", places: "Sequence[Place]", walked: "Walked", out: Path) -> None:
    from tonnage.load.line import write_line
    from tonnage.load.searching import Ending
    from tonnage.load.walking import walk

    kept = [begun]

    def keep(line: "LoadLine") -> None:
        kept[0] = line
        write_line(line, out / LINE_FILE)

    out.mkdir(parents=True, exist_ok=True)
    try:
        with interruptible(), shown() as watch:
            walked.rehearse()
            walk(begun, places, walked, seconds=walked.seconds, keep=keep, watch=watch)
    except KeyboardInterrupt:
        _report(kept[0], out)
        typer.echo("interrupted: the limits are as they were; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except TonnageError:
        _report(kept[0], out)
        raise
    _report(kept[0], out)
    if any(each.ending in {Ending.UNMEASURED, Ending.OUT_OF_TRIES} for each in kept[0].points):
        raise typer.Exit(UNMEASURED)


def _report(line: "LoadLine", out: Path) -> None:
    """The line for people, if anything was measured."""
    from tonnage.load.report import write_report

    if not line.points:
        return
    write_report([line], out / REPORT_FILE)
    show(line_table(line))
    show(f"written: {out / LINE_FILE}, {out / REPORT_FILE}")
