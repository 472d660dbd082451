"""A load line for people: rows of a table, and one HTML file that holds everything and needs no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.deployment.judge.verdict import Outcome
from tonnage.files import whole_file
from tonnage.load.line import MIB, LoadLine, Point, Try
from tonnage.load.searching import Ending

COLUMNS = (
    "precision",
    "recall@100",
    "memory limit",
    "highest rate",
    "between",
    "source",
    "latency at it",
    "memory at it",
    "tries",
    "says",
)

PREDICTED = "≈ "
"""Before each number that was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A point of the line in words, one cell per column.

    Attributes:
        source: `measured` or `predicted`.
        cells: as `COLUMNS` names them.
    """

    source: str
    cells: tuple[str, ...]


def rows(line: LoadLine) -> list[Row]:
    """Every point: the most exact precision first, each from the largest limit to the least."""
    ordered = sorted(
        line.points,
        key=lambda each: (-each.place.recall_at_100, each.place.precision, -each.place.memory_limit_bytes),
    )
    return [Row(source=each.source, cells=_cells(each)) for each in ordered]


def _cells(point: Point) -> tuple[str, ...]:
    place = point.place
    about = PREDICTED if point.source == "predicted" else ""
    return (
        place.precision,
        f"{place.recall_at_100:.1%}",
        f"{place.memory_limit_bytes // MIB} MiB",
        f"{about}{point.highest_rate:.4g}/s" if point.highest_rate is not None else "none",
        _between(point, about),
        point.source,
        ", ".join(f"{about}{name} {value:.3g} ms" for name, value in point.latency_ms.items()) or "-",
        f"{about}{point.memory_bytes / MIB:.0f} MiB" if point.memory_bytes is not None else "-",
        _counted(point.tries),
        _says(point),
    )


def _between(point: Point, about: str) -> str:
    if point.low is None and point.high is None:
        return "-"
    low = "0" if point.low is None else f"{point.low:.4g}"
    return f"{about}{low} and more" if point.high is None else f"{about}{low} to {point.high:.4g}"


def _counted(tries: Sequence[Try]) -> str:
    errors = sum(not each.counts for each in tries)
    passes = sum(each.outcome is Outcome.PASS for each in tries)
    fails = len(tries) - errors - passes
    words = ((passes, "pass"), (fails, "fail"), (errors, "error"))
    return ", ".join(f"{count} {word}" for count, word in words if count) or "none"


def _says(point: Point) -> str:
    if point.source == "predicted":
        return "by the model"
    if point.ending == Ending.FOUND:
        return "found, confirmed"
    if point.ending == Ending.AT_LEAST:
        return "at least: above it nothing could be measured" if point.confirmed else "at least"
    return str(point.ending) + ("" if point.confirmed or point.highest_rate is None else ", not confirmed")


def errors(line: LoadLine) -> list[tuple[str, str, str]]:
    """Every try that is no measurement: the place, the rate, and why."""
    return [
        (
            f"{point.place.precision} at {point.place.memory_limit_bytes // MIB} MiB",
            f"{each.rate:g}/s",
            _why(each),
        )
        for point in line.points
        for each in point.tries
        if not each.counts
    ]


def generator(line: LoadLine) -> str:
    """How busy the generator was, in words."""
    shares = [
        each.generator_cpu
        for point in line.points
        for each in point.tries
        if each.generator_cpu is not None and each.counts
    ]
    if not shares:
        return "not known"
    return f"{max(shares):.0%} of one core by its busiest process, at most, in the tries that count"


def _why(tried: Try) -> str:
    return "; ".join(tried.reasons) or str(tried.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One load line in the report.

    Attributes:
        line: what it is of.
        pictures: captions and addresses of the plots.
    """

    line: LoadLine
    pictures: tuple[tuple[str, str], ...]


def render(lines: Sequence[LoadLine]) -> str:
    """The report as one HTML document.

    Args:
        lines: measured and predicted ones; at least one.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from tonnage.load import plots

    environment = Environment(
        loader=PackageLoader("tonnage.load", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    overview = plots.as_uri(plots.sizes(lines)) if len({line.items for line in lines}) > 1 else None
    return environment.get_template("report.html.j2").render(
        sections=[Section(line=each, pictures=_pictures(each)) for each in lines],
        columns=COLUMNS,
        rows=rows,
        errors=errors,
        generator=generator,
        overview=overview,
        mib=MIB,
    )


def _pictures(line: LoadLine) -> tuple[tuple[str, str], ...]:
    from tonnage.load import plots

    drawn = [("Throughput against the memory limit", plots.throughput(line))] if line.points else []
    if any(point.tries for point in line.points):
        drawn += [
            ("Latency against the rate, measured", plots.latency(line)),
            ("Memory against time, measured", plots.memory(line)),
        ]
    return tuple((caption, plots.as_uri(svg)) for caption, svg in drawn)


def write_report(lines: Sequence[LoadLine], file: Path) -> None:
    """Write the report; whoever reads the file meanwhile finds the former one."""
    text = render(lines)
    with whole_file(file) as fresh:
        fresh.write_text(text, encoding="utf-8")
