"""Ratios come from rounds that saw the same machine; whoever was not measured is a miss."""

from types import SimpleNamespace

import pytest

from measures import Measure
from peers.ranking import Entry, promises, ratios
from retrieval import promises as retrieval_promises
from wrk import Load, read


def entry(*rates: float, p99: float = 10.0) -> Entry:
    loads = [Load(rate=rate, p50=p99 / 2, p99=p99, failed=0) for rate in rates]
    return Entry(SimpleNamespace(), SimpleNamespace(), loads)  # type: ignore[arg-type]


def all_entries(**others: Entry) -> dict[str, Entry]:
    known = {
        "Tonnage, OIP binary": entry(600, 300),
        "KServe SDK, OIP JSON": entry(150, 75),
        "MLServer, OIP JSON": entry(300, 150, p99=12.0),
    }
    return {**known, **others}


def holds(measures: list[Measure]) -> list[bool]:
    return [each.holds for each in measures]


def test_a_machine_that_slows_down_between_rounds_changes_no_ratio():
    assert ratios([600, 300], [150, 75]) == [4, 4]
    assert all(holds(promises(all_entries(), [800, 400], 30_000, {})))


def test_a_peer_that_was_not_measured_is_a_miss_with_its_reason():
    entries = all_entries()
    del entries["MLServer, OIP JSON"]
    missed = [each for each in promises(entries, [800, 400], 30_000, {"MLServer": "ended"}) if not each.holds]
    assert [each.measured for each in missed] == ["ended"]


def test_without_our_own_figure_nothing_holds():
    assert holds(promises({}, [800], 30_000, {"Tonnage": "ended"})) == [False]


def test_a_load_generator_that_limits_is_a_miss():
    assert holds(promises(all_entries(), [800, 400], 600, {}))[-1] is False


def test_the_retriever_is_judged_beside_the_library_of_the_same_round():
    loads = [Load(rate=rate, p50=1, p99=2, failed=0) for rate in (700, 350)]
    assert holds(retrieval_promises("x", loads, [1000, 500], 0)) == [True, True]
    assert holds(retrieval_promises("x", loads, [1000, 500], 1)) == [True, False]


def test_the_last_line_of_the_load_generator_counts():
    told = 'noise\n{"requests": 10, "microseconds": 2000000, "p50": 1500.0, "p99": 9000.0, "failed": 1}\n'
    assert read(told) == Load(rate=pytest.approx(5.0), p50=1.5, p99=9.0, failed=1)
