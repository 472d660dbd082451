"""`tonnage load plan` and `tonnage load report`: what they write, print and refuse."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from tests.factories.release import release
from tests.factories.simulated_service import Retriever
from typer.testing import CliRunner

from tonnage.cli import build
from tonnage.cli.load_progress import shown
from tonnage.deployment.config import own_chart
from tonnage.errors import LoadError, TonnageError
from tonnage.load.line import LoadLine, read_line, write_line
from tonnage.load.plan_values import CONNECTIONS
from tonnage.load.throughput import USABLE
from tonnage.load.walking import walk
from tonnage.serving.admission.admission import MEMORY_WATERMARK
from tonnage.serving.environment import Environment


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A load line of a small catalogue, which is scanned."""
    file = tmp_path_factory.mktemp("line") / "load-line.json"
    service = Retriever(items=3_000, requests=1000)
    write_line(walk(service.line(), service.places(), service, seconds=1, keep=lambda _: None), file)
    return file


def tonnage(*arguments: str | Path) -> str:
    done = CliRunner().invoke(build(), ["load", *map(str, arguments)])
    if isinstance(done.exception, TonnageError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_plan_is_printed_with_its_reasons_and_written_as_values(measured: Path, tmp_path: Path):
    out = tmp_path / "values-plan.yaml"
    said = tonnage("plan", measured, "--rate", "5000", "-o", out)
    values = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert set(values) == {"retriever", "ranker", "recommender", "gateway"}
    for bento in ("retriever", "ranker", "recommender"):
        assert f"{values[bento]['replicas']} to {values[bento]['autoscaling']['maxReplicas']}" in said
    assert "measured" in said
    assert "predicted" in said
    assert "the cheapest" in said
    assert "finds 93.0% of the exact top 100, and 95.0% is the floor" in said


def test_a_release_that_was_not_measured_is_predicted(measured: Path, tmp_path: Path):
    made = release(tmp_path, index=None)
    said = tonnage("plan", measured, "--rate", "500", "--release", made.directory, "-o", tmp_path / "v.yaml")
    assert "predicted" in said
    assert "measured" not in said


def test_the_floor_of_the_release_holds(measured: Path, tmp_path: Path):
    line = read_line(measured)
    made = release(tmp_path)
    own = tmp_path / "own.json"
    write_line(line.model_copy(update={"release": made.id, "recall_floor": 0.0}), own)
    said = tonnage("plan", own, "--rate", "500", "--release", made.directory, "-o", tmp_path / "v.yaml")
    assert f"the recall floor is {made.manifest.retrieval.recall_floor:.1%}" in said


def test_a_report_shows_what_was_measured_and_what_is_predicted(measured: Path, tmp_path: Path):
    out = tmp_path / "line.html"
    said = tonnage("report", measured, "--predict", "15000", "-o", out)
    assert "3,000 items" in said
    assert "15,000 items" in said
    assert said.count("measured") == 4
    assert "≈ " in said
    assert out.read_text(encoding="utf-8").count("<h2>") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", "LINE", "--rate", "0"), "rate: input should be greater than 0"),
        (("plan", "LINE", "--rate", "1e9"), "are allowed: allow"),
        (("plan", "LINE", "--rate", "5", "-o", "/proc/none/values.yaml"), "cannot be written"),
        (("plan", "/nowhere/load-line.json", "--rate", "5"), "there is no load line"),
        (("report", "LINE", "--predict", "5000000"), "no graph was measured"),
        (("report", "LINE", "--predict", "9000", "--memory-limit", "8Mi"), "larger limits"),
        (("report", "LINE", "--predict", "9000", "--memory-limit", "much"), "not an amount of memory"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    arguments: tuple[str, ...], says: str, measured: Path, tmp_path: Path
):
    given = [str(measured) if each == "LINE" else each for each in arguments]
    with pytest.raises(TonnageError, match=says) as raised:
        tonnage(*given, *(() if "-o" in given else ("-o", str(tmp_path / "out"))))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_help_does_not_load_what_draws_and_fits():
    """A command that takes seconds to say what it does is not asked twice."""
    code = "import sys, tonnage.cli as c; c.build(); print({'matplotlib', 'scipy'} & set(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ, timeout=120
    )
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_the_place_the_rate_and_the_time_left(terminal: bool):
    """A log of CI is no terminal, and must say it too."""
    service = Retriever(items=3_000, requests=300)
    into = StringIO()
    with shown(Console(file=into, force_terminal=terminal, width=200)) as watch:
        walk(service.line(), service.places()[:2], service, seconds=60, keep=lambda _: None, watch=watch)
    said = into.getvalue()
    assert "1 of 2: exact-f32 at " in said
    assert "2 of 2: exact-f16 at " in said
    assert "/s to begin with" in said
    assert "to confirm the answer" in said
    assert "min in all" in said
    assert "done here, about 0 min in all" in said


def test_a_line_whose_walk_was_interrupted_has_a_report(tmp_path: Path):
    service = Retriever(items=3_000, requests=300)
    file = tmp_path / "load-line.json"

    def keep(line: LoadLine) -> None:
        write_line(line, file)
        if len(line.points[0].tries) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(service.line(), service.places(), service, seconds=1, keep=keep)
    said = tonnage("report", file, "-o", tmp_path / "line.html")
    assert "interrupted" in said
    with pytest.raises(LoadError, match="is damaged"):
        file.write_text(file.read_text().replace('"highest_rate":', '"highest":'))
        tonnage("report", file, "-o", tmp_path / "line.html")


def test_what_is_known_in_two_places_is_the_same():
    """The load package may not import the services, and Python not the chart."""
    chart = yaml.safe_load((own_chart() / "values.yaml").read_text(encoding="utf-8"))
    assert USABLE == MEMORY_WATERMARK
    assert chart["gateway"]["maxConnections"] == CONNECTIONS
    assert Environment.read({"TONNAGE_INDEX": "hnsw-i8"}).index == "hnsw-i8"
