"""The folder of a run: whole or not there, and what is broken in it is named."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.factories.load_run import Made, columns, pod_rows

from tonnage.errors import LoadError
from tonnage.load.gate import judge
from tonnage.load.runs import (
    FACTS_FILE,
    REQUESTS,
    REQUESTS_FILE,
    SERVER,
    SERVER_FILE,
    Run,
    require_free,
    write_run,
    write_server,
)
from tonnage.load.slo import Slo


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    written = Made().write(tmp_path / "run")
    read = Run(tmp_path / "run")
    assert read.facts == written.facts
    assert read.requests.schema == REQUESTS
    assert read.server is not None
    assert read.server.schema == SERVER
    assert sorted(each.name for each in (tmp_path / "run").iterdir()) == [
        "requests.parquet",
        "run.json",
        "server.parquet",
    ]


def test_a_run_nobody_sampled_has_no_server_until_somebody_adds_it(tmp_path: Path) -> None:
    assert Made(pods=None).write(tmp_path / "run").server is None
    write_server(tmp_path / "run", columns(pod_rows(60)))
    assert Run(tmp_path / "run").server.num_rows == 13


def test_a_run_never_takes_the_place_of_something_else(tmp_path: Path) -> None:
    """A mistyped option must not cost anybody a folder of files."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LoadError, match="something is there already"):
        Made().write(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
    require_free(tmp_path / "new")


def test_rows_that_are_no_requests_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    facts = Made().write(tmp_path / "run").facts
    for wrong in ({}, {"at_s": [1.0]}, {name: ["x"] for name in REQUESTS.names}):
        with pytest.raises(LoadError, match="not the rows of a run"):
            write_run(tmp_path / "other", facts, wrong)
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def _column(run: Run, name: str, values: Any) -> None:
    table = pq.read_table(run.folder / REQUESTS_FILE)
    table = table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, run.folder / REQUESTS_FILE)


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("status", lambda n: pa.array(["well"] * n), "not the rows of a run"),
        ("ms", lambda n: pa.array([float("nan")] * n), "ms has values"),
        ("at_s", lambda n: pa.array([-1.0] * n), "at_s has values"),
        ("name", lambda n: pa.array([None] * n, pa.string()), "non-nullable"),
    ],
)
def test_a_broken_column_is_named(tmp_path: Path, name: str, values: Any, says: str) -> None:
    run = Made(rate=1).write(tmp_path / "run")
    _column(run, name, values(run.requests.num_rows))
    with pytest.raises(LoadError, match=says):
        _ = Run(run.folder).requests


def test_facts_of_another_version_or_with_unknown_keys_are_refused(tmp_path: Path) -> None:
    file = Made(rate=1).write(tmp_path / "run").folder / FACTS_FILE
    facts = json.loads(file.read_text())
    for changed, named in (({"schema_version": 2}, "schema_version"), ({"speed": 1}, "speed: unknown key")):
        file.write_text(json.dumps({**facts, **changed}))
        with pytest.raises(LoadError, match=named):
            Run(file.parent)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    name=st.sampled_from([FACTS_FILE, REQUESTS_FILE, SERVER_FILE]),
    damage=st.one_of(
        st.binary(max_size=200).map(lambda bytes_: lambda _: bytes_),
        st.floats(0, 1).map(lambda part: lambda whole: whole[: int(part * len(whole))]),
        st.tuples(st.floats(0, 0.999), st.integers(1, 255)).map(
            lambda flip: (
                lambda whole: (
                    whole[: (at := int(flip[0] * len(whole)))]
                    + bytes([whole[at] ^ flip[1]])
                    + whole[at + 1 :]
                )
            )
        ),
    ),
)
def test_a_damaged_folder_is_a_run_or_a_named_mistake(
    tmp_path_factory: pytest.TempPathFactory, name: str, damage: Any
) -> None:
    """Never a traceback: whoever reads it may not know who wrote it."""
    folder = tmp_path_factory.mktemp("damaged") / "run"
    Made(rate=2, seconds=30).write(folder)
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    with suppress(LoadError):
        run = Run(folder)
        judge(run, Slo())
