"""`tonnage load plan` and `tonnage load report`: what a load line says, as pods, and for people."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonnage.errors import LoadError

if TYPE_CHECKING:
    from rich.table import Table

    from tonnage.load.line import LoadLine
    from tonnage.load.planning import CapacityPlan
    from tonnage.releases.release import Release

Line = Annotated[Path, typer.Argument(metavar="LOAD_LINE", help="A load-line.json.", show_default=False)]
Lines = Annotated[list[Path], typer.Argument(metavar="LOAD_LINE...", help="One load-line.json, or several.")]


def plan(
    load_line: Line,
    rate: Annotated[float, typer.Option("--rate", help="Requests per second to carry.", show_default=False)],
    headroom: Annotated[
        float, typer.Option("--headroom", help="Share above the rate that the planned pods carry too.")
    ] = 0.3,
    peak: Annotated[
        float, typer.Option("--peak", help="Times the rate to which the autoscalers may follow.")
    ] = 2.0,
    cpu_price: Annotated[float, typer.Option("--cpu-price", help="Of one core for an hour.")] = 0.03,
    gib_price: Annotated[
        float, typer.Option("--gib-price", help="Of one GiB of memory for an hour.")
    ] = 0.004,
    most_pods: Annotated[int, typer.Option("--most-pods", help="Pods of one bento at most.")] = 100,
    release: Annotated[
        Path | None,
        typer.Option(
            "--release",
            help="A release directory: its recall floor holds, and if it is not the one measured, its line is"
            " predicted.",
            show_default=False,
        ),
    ] = None,
    values: Annotated[Path, typer.Option("--values", "-o", help="Where the Helm values are written.")] = Path(
        "values-plan.yaml"
    ),
) -> None:
    """Size the deployment for a rate: the cheapest pods that carry it, as values for `helm upgrade -f`.

    The busiest service's pods carry what was measured; what others carry, and everything of a release that
    was not measured, is predicted, and the table says so. The price is that of what the pods request. If no
    plan is possible, one sentence says what would do.
    """
    from tonnage.load.line import read_line
    from tonnage.load.plan_values import write_plan
    from tonnage.load.planning import Demand
    from tonnage.load.planning import plan as planned

    demand = Demand.read(
        {
            "rate": rate,
            "headroom": headroom,
            "peak": peak,
            "cpu_price": cpu_price,
            "gib_price": gib_price,
            "most_pods": most_pods,
        },
        where="the plan's options",
    )
    line = read_line(load_line)
    floor = None
    if release is not None:
        from tonnage.releases.release import open_release

        opened = open_release(release)
        floor = opened.manifest.retrieval.recall_floor
        line = line if line.release == opened.id else _predicted(line, opened)
    made = planned(line, demand, floor=floor)
    _write(values, lambda: write_plan(made, values, walked=line.bento))
    for table in (_sizes_table(made), _options_table(made)):
        show(table)
    show(f"{made.chosen.price:.4g} an hour; written: {values}")


def report(
    load_lines: Lines,
    predict: Annotated[
        list[int] | None,
        typer.Option(
            "--predict", help="Also predict the line of a catalogue of so many items; may be repeated.", min=1
        ),
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", help="Of its vectors; as measured by default.", min=1)
    ] = None,
    memory_limit: Annotated[
        list[str] | None,
        typer.Option("--memory-limit", help="Predict at this limit, such as 8Gi; may be repeated."),
    ] = None,
    html: Annotated[Path, typer.Option("--html", "-o", help="Where the report is written.")] = Path(
        "load-line.html"
    ),
) -> None:
    """Show load lines, measured and predicted: a table here, and one HTML file to read and to mail.

    Predictions come from a model that is fitted to the points of all lines given: service time, concurrency
    and memory by items and precision. Lines of several catalogue sizes make narrow intervals, one line makes
    wide ones.
    """
    from tonnage.load.line import read_line
    from tonnage.load.report import write_report
    from tonnage.serving.memory.quantity import read_quantity

    lines = [read_line(each) for each in load_lines]
    limits = [read_quantity(each) for each in memory_limit or ()]
    if predict:
        from tonnage.load.prediction import Model

        model = Model.fit(lines)
        width = dimensions or lines[0].dimensions
        lines += [model.line(items=items, dimensions=width, limits=limits) for items in predict]
    _write(html, lambda: write_report(lines, html))
    for line in lines:
        show(line_table(line))
    show(f"written: {html}")


def line_table(line: "LoadLine") -> "Table":
    """A load line for a terminal."""
    from rich.table import Table

    from tonnage.load.report import COLUMNS, rows

    objective = line.objective
    table = Table(
        title=f"release {line.release}, {line.items:,} items: p{objective.quantile * 100:g} within"
        f" {objective.latency_ms:g} ms",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in rows(line):
        table.add_row(*row.cells, style="italic" if row.source == "predicted" else "")
    return table


def _predicted(line: "LoadLine", release: "Release") -> "LoadLine":
    """The line of a release that was not measured, at the limits of one that was."""
    from tonnage.load.line import MIB
    from tonnage.load.prediction import Model
    from tonnage.load.walking import places_of
    from tonnage.serving.environment import Environment
    from tonnage.serving.memory.start import plan_for

    weighed = plan_for(release, Environment(), limit=None, measured=False)
    retrieval = release.manifest.retrieval
    items = len(release.items)
    limits = {each.place.memory_limit_bytes for each in line.points} | {
        # What each index needs, in whole MiB: the limits of another catalogue may suit none.
        -(-each.needed_bytes // MIB) * MIB
        for each in weighed.choices
    }
    cores = max((each.place.cpu_cores for each in line.points), default=1.0)
    places = places_of(limits, weighed.choices, cpu_cores=cores, floor=retrieval.recall_floor)
    model = Model.fit([line])
    points = tuple(model.point(each, items=items, dimensions=retrieval.dimensions) for each in places)
    return line.model_copy(
        update={
            "release": release.id,
            "items": items,
            "dimensions": retrieval.dimensions,
            "recall_floor": retrieval.recall_floor,
            "points": points,
        }
    )


def _sizes_table(made: "CapacityPlan") -> "Table":
    from tonnage.serving.memory.quantity import in_mib

    rows = [
        (
            each.bento,
            f"{each.pods} to {each.most}",
            f"{each.carries:.4g}/s",
            each.source,
            f"{each.cpu_cores:.3g}",
            in_mib(each.memory_bytes),
            in_mib(each.limit_bytes),
            f"{each.price:.4g}",
        )
        for each in made.chosen.sizes
    ]
    columns = ("bento", "pods", "a pod carries", "source", "cores", "memory", "limit", "price/h")
    return _table(f"{made.demand.rate:g} requests/s with {made.demand.headroom:.0%} headroom", columns, rows)


def _options_table(made: "CapacityPlan") -> "Table":
    from tonnage.serving.memory.quantity import in_mib

    rows = [
        (
            each.point.place.precision,
            f"{each.point.place.recall_at_100:.1%}",
            in_mib(each.point.place.memory_limit_bytes),
            "none" if each.point.highest_rate is None else f"{each.point.highest_rate:.4g}/s",
            each.point.source,
            f"{each.price:.4g}" if each.sizes else "-",
            each.says,
        )
        for each in made.options
    ]
    columns = ("precision", "recall@100", "limit", "highest rate", "source", "price/h", "why")
    return _table(f"what else was weighed; the recall floor is {made.floor:.1%}", columns, rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def show(readable: "Table | str") -> None:
    """Print a table or a sentence, whole where the output is a file."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    if isinstance(readable, str):
        console.print(readable, highlight=False, markup=False, soft_wrap=True)
        return
    if not console.is_terminal:
        # A file or a log has room for a whole row.
        unbounded = console.options.update(max_width=1000)
        console.width = max(console.width, Measurement.get(console, unbounded, readable).maximum)
    console.print(readable, highlight=False)


def _write(file: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise LoadError(f"cannot be written: {error.strerror}", file=file) from error
