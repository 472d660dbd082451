"""`load-line.json` is whole or not there, and what is wrong with it is said in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.factories.simulated_service import STARTED, Retriever

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import LoadError
from tonnage.load.line import LoadLine, Objective, Point, Try, read_line, write_line
from tonnage.load.searching import Ending, Search
from tonnage.load.walking import walk


@pytest.fixture(scope="module")
def line() -> LoadLine:
    service = Retriever(items=30_000, requests=600)
    return walk(service.line(), service.places()[:2], service, seconds=1, keep=lambda _: None)


def test_what_is_written_is_what_is_read(line: LoadLine, tmp_path: Path):
    file = tmp_path / "new" / "load-line.json"
    write_line(line, file)
    assert read_line(file) == line
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def written(line: LoadLine, file: Path, **changes: Any) -> Path:
    content = line.model_dump(mode="json")
    content.update(changes)
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a load line"),
        ("[]", "not a load line"),
        ("{}", "not a load line"),
        ("[" * 100_000, "not a load line"),
        ('{"schema_version": 7}', "schema version 7"),
        ('{"schema_version": 1}', "machine: field required"),
        ("\ud800", "not a load line"),
    ],
)
def test_a_file_that_is_no_line_is_refused_in_one_sentence(content: str, says: str, tmp_path: Path):
    file = tmp_path / "load-line.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(LoadError, match=says) as raised:
        read_line(file)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_line_that_is_not_there_is_said_to_be_measured_first(tmp_path: Path):
    with pytest.raises(LoadError, match="`tonnage load line` measures one"):
        read_line(tmp_path / "load-line.json")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"items": 0}, "items"),
        ({"tempo": 1}, "tempo: unknown key"),
        ({"recall_floor": float("nan")}, "recall_floor"),
        ({"points": [{}]}, "points.0.place"),
        ({"written": "2026-01-05T12:00:00"}, "written"),
    ],
)
def test_a_damaged_line_is_refused_with_the_field(
    changes: dict[str, Any], says: str, line: LoadLine, tmp_path: Path
):
    with pytest.raises(LoadError, match=says):
        read_line(written(line, tmp_path / "load-line.json", **changes))


def test_an_interval_that_does_not_hold_the_answer_is_damage(line: LoadLine, tmp_path: Path):
    points = line.model_dump(mode="json")["points"]
    points[0]["low"] = points[0]["highest_rate"] + 1
    with pytest.raises(LoadError, match="does not hold the highest rate"):
        read_line(written(line, tmp_path / "load-line.json", points=points))


def tried(rate: float, outcome: Outcome, **more: Any) -> Try:
    return Try(at=STARTED, seconds=30, rate=rate, outcome=outcome, **more)


def test_a_point_shows_latency_and_memory_at_the_answer_and_not_elsewhere():
    service, search = Retriever(items=30_000), Search()
    rate, above = search.rate(100), search.rate(101)
    tries = [
        tried(rate, Outcome.PASS, latency_ms={"p50": 4, "p99": 50}, memory_bytes=100),
        tried(above, Outcome.FAIL, latency_ms={"p50": 9, "p99": 150}, memory_bytes=900),
        tried(above, Outcome.FAIL, latency_ms={"p50": 9, "p99": 160}, memory_bytes=900),
        tried(rate, Outcome.PASS, latency_ms={"p50": 6, "p99": 70}, memory_bytes=120),
    ]
    point = Point.of(service.places()[0], tries, search)
    assert point.ending is Ending.FOUND
    assert (point.low, point.highest_rate, point.high) == (rate, rate, above)
    assert point.latency_ms == {"p50": 5, "p99": 60}
    assert point.memory_bytes == 120
    assert point.confirmed
    interrupted = Point.of(service.places()[0], tries[:3], search)
    assert (interrupted.ending, interrupted.confirmed) == ("interrupted", False)


def test_what_bounds_the_answer_only_by_an_error_is_no_bound():
    service, search = Retriever(items=30_000), Search()
    rate, above = search.rate(100), search.rate(101)
    tries = [tried(rate, Outcome.PASS)] * 2 + [
        tried(above, Outcome.ERROR, reasons=("the generator was full",))
    ] * 3
    point = Point.of(service.places()[0], tries, search)
    assert (point.ending, point.highest_rate, point.high) == (Ending.AT_LEAST, rate, None)


def test_the_objective_of_a_model_is_the_largest_quantile_of_the_slo():
    made = Objective.of("recommendations", {"p50": 20, "p99.9": 300, "p99": 100})
    assert (made.quantile, made.latency_ms) == (pytest.approx(0.999), 300)
