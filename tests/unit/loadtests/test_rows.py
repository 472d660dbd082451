"""What a process remembers of each request, and how several are joined."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rows import Rows, Work
from tonnage.load.runs import Facts, Generator, write_run

REQUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "began": st.floats(1000, 1100),
            "ms": st.floats(0, 1e4, width=32),
            "status": st.sampled_from([0, 200, 503]),
            "name": st.sampled_from(["recommendations", "events"]),
            "failure": st.text(max_size=5),
            "retry_after": st.booleans(),
        }
    ),
    max_size=30,
)


def rows(requests: list[dict[str, Any]]) -> Rows:
    made = Rows()
    for each in requests:
        made.add(**each)
    return made


def told(made: Rows) -> list[tuple[Any, ...]]:
    columns = made.columns(1000.0, 1100.5)
    return list(zip(*(list(map(_plain, columns[name])) for name in sorted(columns)), strict=True))


def _plain(value: Any) -> Any:
    return value.as_py() if hasattr(value, "as_py") else value


@given(REQUESTS, REQUESTS)
def test_workers_rows_are_those_of_one_process(first: list[dict[str, Any]], second: list[dict[str, Any]]):
    """A worker numbers names and failures as they come; the master has other numbers for them."""
    master = rows([])
    for each in (first, second):
        worker = rows(each)
        master.put(worker.take())
        assert len(worker) == 0
        assert worker.take()["said"] == []
    assert len(master) == len(first) + len(second)
    assert sorted(told(master)) == sorted(told(rows([*first, *second])))


@given(REQUESTS)
def test_rows_are_in_the_order_of_time_and_within_the_run(requests: list[dict[str, Any]]):
    columns = rows(requests).columns(1020.0, 1080.0)
    at = list(columns["at_s"])
    assert at == sorted(at)
    assert len(at) == sum(1020 <= each["began"] < 1080 for each in requests)
    assert all(0 <= each < 60 for each in at)


def test_a_run_folder_takes_them(tmp_path):
    made = rows([])
    made.add(
        began=1001.5, ms=12.25, status=503, name="recommendations", failure="status 503", retry_after=True
    )
    facts = Facts.read(
        {
            "name": "r",
            "host": "http://127.0.0.1:1",
            "started": "2026-01-01T00:00:00Z",
            "seconds": 2.0,
            "shape": "steady",
            "users": 1,
            "seed": 1,
            "generator": Generator(processes=1, cpu_share_mean=0, cpu_share_max=0, cores=1),
        },
        where="here",
    )
    run = write_run(tmp_path / "run", facts, made.columns(1000.0, 1002.0))
    assert run.requests.to_pylist() == [
        {
            "at_s": 1.5,
            "name": "recommendations",
            "status": 503,
            "ms": 12.25,
            "failure": "status 503",
            "retry_after": True,
        }
    ]


def test_a_run_without_a_request_has_no_rows():
    assert len(rows([]).columns(0.0, 1.0)["at_s"]) == 0


def test_a_moment_says_nothing_of_how_busy_a_process_was():
    """Two looks a millisecond apart would make it look saturated, and no verdict could be had."""
    work = Work()
    work.add(0.4, 1.0)
    work.add(0.001, 0.001)
    assert work.most == pytest.approx(0.4)
    assert work.mean == pytest.approx(0.401 / 1.001)
