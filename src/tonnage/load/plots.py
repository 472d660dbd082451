"""A load line in pictures: what was measured is filled and solid, what is predicted is hollow and dashed."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tonnage.deployment.judge.verdict import Outcome
from tonnage.index import VARIANTS
from tonnage.load.line import MIB, LoadLine, Point, Try

STYLE: Any = {
    # The same picture, the same bytes; letters stay letters, so that they can be searched and read aloud.
    "svg.hashsalt": "tonnage",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}

# Okabe and Ito (2008): told apart by people who see few colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")

MARKS = {Outcome.PASS: "o", Outcome.FAIL: "x"}

NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def throughput(line: LoadLine) -> str:
    """The highest rate against the memory limit, one series per precision, with intervals."""
    with _figure("memory limit, MiB", "highest rate that holds, requests/s") as (figure, axes):
        for precision in _precisions(line):
            for source in ("measured", "predicted"):
                points = [
                    each
                    for each in line.points
                    if each.place.precision == precision and each.source == source and each.highest_rate
                ]
                _series(axes, points, precision, measured=source == "measured")
        axes.set_ylim(bottom=0)
        return _svg(figure, axes)


def _series(axes: Axes, points: Sequence[Point], precision: str, *, measured: bool) -> None:
    if not points:
        return
    ordered = sorted(points, key=lambda each: each.place.memory_limit_bytes)
    rates = [each.highest_rate or 0.0 for each in ordered]
    below = [
        rate - (each.low if each.low is not None else rate) for rate, each in zip(rates, ordered, strict=True)
    ]
    above = [
        (each.high if each.high is not None else rate) - rate
        for rate, each in zip(rates, ordered, strict=True)
    ]
    colour = _colour(precision)
    axes.errorbar(
        [each.place.memory_limit_bytes / MIB for each in ordered],
        rates,
        yerr=[below, above],
        color=colour,
        marker="o",
        markerfacecolor=colour if measured else "white",
        linestyle="-" if measured else "--",
        capsize=3,
        label=f"{precision}, {'measured' if measured else 'predicted'}",
    )


def latency(line: LoadLine) -> str:
    """The objective's quantile against the rate, try by try; what could not be measured lies at the foot."""
    name = f"p{line.objective.quantile * 100:g}"
    with _figure("rate asked for, requests/s", f"{name}, ms") as (figure, axes):
        for point in _measured(line):
            _tries(axes, point, name)
        limit = line.objective.latency_ms
        axes.axhline(limit, color="black", linestyle=":", label=f"objective, {limit:g} ms")
        errors = [each for point in _measured(line) for each in point.tries if each.outcome not in MARKS]
        if errors:
            # In the axes' own height: an error has no latency.
            axes.scatter(
                [each.rate for each in errors],
                [0.02] * len(errors),
                marker="|",
                color="grey",
                transform=axes.get_xaxis_transform(),
                label="error: not measured",
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        return _svg(figure, axes)


def _tries(axes: Axes, point: Point, name: str) -> None:
    colour = _colour(point.place.precision)
    label = f"{point.place.precision}, {point.place.memory_limit_bytes // MIB} MiB"
    judged = [each for each in point.tries if each.outcome in MARKS and each.latency_ms.get(name)]
    ordered = sorted(judged, key=lambda each: each.rate)
    axes.plot(
        [each.rate for each in ordered],
        [each.latency_ms[name] for each in ordered],
        color=colour,
        alpha=0.4,
        label=label if ordered else None,
    )
    for outcome, mark in MARKS.items():
        these = [each for each in ordered if each.outcome is outcome]
        axes.scatter(
            [each.rate for each in these],
            [each.latency_ms[name] for each in these],
            color=colour,
            marker=mark,
        )


def memory(line: LoadLine) -> str:
    """The working set of the pod whose limit is walked against time, with the limit."""
    with _figure("minutes since the first try", f"{line.bento}: working set, MiB") as (figure, axes):
        began = min(each.at for point in _measured(line) for each in point.tries)
        drawn: set[str] = set()
        for point in _measured(line):
            limit = point.place.memory_limit_bytes / MIB
            for each in point.tries:
                after = (each.at - began).total_seconds()
                _working_set(axes, each, after, point.place.precision, drawn)
                axes.plot(
                    [after / 60, (after + each.seconds) / 60],
                    [limit, limit],
                    color="black",
                    linewidth=1,
                    label=None if "limit" in drawn else "memory limit",
                )
                drawn.add("limit")
        axes.set_ylim(bottom=0)
        return _svg(figure, axes)


def _working_set(axes: Axes, tried: Try, after: float, precision: str, drawn: set[str]) -> None:
    if not tried.memory:
        return
    axes.plot(
        [(after + at) / 60 for at, _ in tried.memory],
        [size / MIB for _, size in tried.memory],
        color=_colour(precision),
        label=None if precision in drawn else f"{precision}, measured",
    )
    drawn.add(precision)


def sizes(lines: Sequence[LoadLine]) -> str:
    """The highest rate of each precision against the size of the catalogue, at its largest limit."""
    with _figure("items of the catalogue", "highest rate that holds, requests/s") as (figure, axes):
        precisions = sorted({name for line in lines for name in _precisions(line)}, key=VARIANTS.index)
        for precision in precisions:
            for source in ("measured", "predicted"):
                best = [(line.items, _largest(line, precision, source)) for line in lines]
                found = sorted(
                    (items, point.highest_rate) for items, point in best if point and point.highest_rate
                )
                if found:
                    axes.plot(
                        [items for items, _ in found],
                        [rate for _, rate in found],
                        color=_colour(precision),
                        marker="o",
                        markerfacecolor=_colour(precision) if source == "measured" else "white",
                        linestyle="-" if source == "measured" else "--",
                        label=f"{precision}, {source}",
                    )
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        return _svg(figure, axes)


def _largest(line: LoadLine, precision: str, source: str) -> Point | None:
    points = [each for each in line.points if each.place.precision == precision and each.source == source]
    return max(points, key=lambda each: each.place.memory_limit_bytes, default=None)


def as_uri(svg: str) -> str:
    """A picture as an address that needs no network."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode('ascii')}"


def _measured(line: LoadLine) -> list[Point]:
    return [each for each in line.points if each.tries]


def _precisions(line: LoadLine) -> list[str]:
    return sorted({each.place.precision for each in line.points}, key=_order)


def _order(precision: str) -> int:
    return VARIANTS.index(precision) if precision in VARIANTS else len(VARIANTS)


def _colour(precision: str) -> str:
    return COLOURS[_order(precision) // 2 % len(COLOURS)]


@contextmanager
def _figure(across: str, up: str) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        yield figure, axes


def _svg(figure: Figure, axes: Axes) -> str:
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=8)
    into = BytesIO()
    figure.savefig(into, format="svg", metadata=NO_METADATA)
    return into.getvalue().decode("utf-8")
