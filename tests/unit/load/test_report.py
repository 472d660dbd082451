"""A report holds everything that it shows, and says of each number whether it was measured."""

import re
from base64 import b64decode
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.factories.simulated_service import MIB, STARTED, Retriever

from tonnage.deployment.judge.verdict import Outcome
from tonnage.load import plots
from tonnage.load.line import LoadLine, Point, Try
from tonnage.load.prediction import Model
from tonnage.load.report import COLUMNS, PREDICTED, errors, render, rows, write_report
from tonnage.load.walking import walk


@pytest.fixture(scope="module")
def lines() -> list[LoadLine]:
    measured = []
    for items in (40_000, 400_000):
        service = Retriever(items=items, requests=800)
        places = service.places()[:2]
        measured.append(walk(service.line(), places, service, seconds=1, keep=lambda _: None))
    return [*measured, Model.fit(measured).line(items=10_000_000, dimensions=64)]


@pytest.fixture(scope="module")
def html(lines: list[LoadLine]) -> str:
    return render(lines)


class Addresses(HTMLParser):
    """What a browser would fetch, and whether every element is closed."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [
            value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}
        ]
        assert tag not in {"script", "link", "iframe", "object", "base"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_needs_no_network(html: str):
    page = Addresses()
    page.feed(html)
    assert page.open == []
    assert len(page.found) == 1 + 3 + 3 + 1
    assert all(each.startswith("data:image/svg+xml;base64,") for each in page.found)
    assert not re.search(r"https?://|@import|url\(", re.sub(r'src="data:[^"]*"', "", html))


def test_the_pictures_in_it_need_none_either(html: str):
    for encoded in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html):
        picture = b64decode(encoded).decode("utf-8")
        assert picture.rstrip().endswith("</svg>")
        for address in re.findall(r'(?:href|src)="([^"]*)"', picture):
            assert address.startswith("#")
        assert "<script" not in picture
        assert not re.search(r"url\((?!#)", picture)


def test_every_predicted_number_is_marked_and_no_measured_one(lines: list[LoadLine]):
    column = {name: at for at, name in enumerate(COLUMNS)}
    for line in lines:
        for point, row in zip(
            sorted(line.points, key=lambda each: -each.place.recall_at_100), rows(line), strict=True
        ):
            assert row.source == point.source == row.cells[column["source"]]
            for name in ("highest rate", "between", "memory at it"):
                assert row.cells[column[name]].startswith(PREDICTED) == (point.source == "predicted")


def test_the_measured_and_the_predicted_are_told_apart_in_the_plots(lines: list[LoadLine]):
    both = lines[0].model_copy(update={"points": (*lines[0].points, *lines[2].points)})
    picture = plots.throughput(both)
    assert "hnsw-f32, measured" in picture
    assert "hnsw-f32, predicted" in picture
    assert "stroke-dasharray" in picture
    assert "predicted" not in plots.throughput(lines[0])


def test_the_same_line_gives_the_same_pictures(lines: list[LoadLine]):
    """A report that changes by itself cannot be compared with a kept one."""
    assert plots.memory(lines[0]) == plots.memory(lines[0])
    assert plots.sizes(lines) == plots.sizes(lines)


def with_errors(line: LoadLine) -> LoadLine:
    point = line.points[0]
    failed = Try(
        at=STARTED + timedelta(hours=1),
        seconds=3,
        rate=77,
        outcome=Outcome.ERROR,
        reasons=("the generator was saturated <b>",),
    )
    return line.with_point(Point.of(point.place, (*point.tries, failed), line.search))


def test_errors_are_shown_with_their_reason_and_without_their_markup(lines: list[LoadLine]):
    line = with_errors(lines[0])
    [(_, rate, why)] = errors(line)
    assert (rate, why) == ("77/s", "the generator was saturated <b>")
    page = render([line])
    assert "Not measured" in page
    assert "the generator was saturated &lt;b&gt;" in page
    assert "1 error" in page
    assert "error: not measured" in plots.latency(line)


def test_a_line_that_was_interrupted_before_the_first_try_has_a_report_too():
    page = render([Retriever(items=40_000).line()])
    assert "Objective simulated" in page
    assert "<img" not in page


def test_where_nothing_held_or_nothing_answered_the_report_says_so():
    service = Retriever(items=40_000)
    line = service.line()
    place = service.place("hnsw-i8", 500 * MIB)
    failing = [
        Try(at=STARTED, seconds=3, rate=rate, outcome=Outcome.FAIL, reasons=("nothing came back",))
        for rate in (line.search.rate(0), line.search.rate(0))
    ]
    page = render([line.with_point(Point.of(place, failing, line.search))])
    assert "<td>none</td>" in page
    assert "nothing came back" in page


def test_a_report_is_written_whole(lines: list[LoadLine], tmp_path: Path):
    file = tmp_path / "report.html"
    write_report(lines[:1], file)
    assert file.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
