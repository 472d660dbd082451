"""Objectives as files: what is in them is judged, or named as wrong."""

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import ConfigError
from tonnage.load.slo import Slo

FILES = sorted((Path(__file__).parents[3] / "loadtests" / "slo").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_objective_of_ours_is_read_and_says_who_sets_a_value(file: Path) -> None:
    slo = Slo.open(file)
    assert slo.latency.at_most_ms
    assert (slo.server.oom_kills, slo.server.restarts) == (0, 0)
    assert "Set by" in file.read_text(encoding="utf-8")


def test_the_longest_of_our_objectives_has_every_key_at_its_default() -> None:
    """Whoever copies it must see all there is to set, and a value that is left away is the one shown."""
    table = tomllib.loads(Path(FILES[0].parent / "recommendations.toml").read_text(encoding="utf-8"))
    slo = Slo()
    for name, part in table.items():
        known = set(type(slo).model_fields[name].annotation.model_fields)  # type: ignore[union-attr]
        assert known - set(part) <= {"least_rate"}
    assert Slo.read(table, where="ours").against == slo.against
    assert Slo.read(table, where="ours").generator == slo.generator
    assert Slo.read(table, where="ours").answers == slo.answers


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"latencies": {}}, "latencies: unknown key"),
        ({"server": {"memory": 0.9}}, "server.memory: unknown key"),
        ({"server": {"memory_share": float("nan")}}, "server.memory_share: "),
        ({"latency": {"at_most_ms": {"p99": float("inf")}}}, "latency.at_most_ms.p99: "),
        ({"latency": {"at_most_ms": {"p99": -1}}}, "latency.at_most_ms.p99: "),
        ({"latency": {"at_most_ms": {"p999": 10}}}, "p999 is no quantile"),
        ({"latency": {"at_most_ms": {"99": 10}}}, "99 is no quantile"),
        ({"latency": {"at_most_ms": {"p0": 10}}}, "p0 is no quantile"),
        ({"latency": {"at_most_ms": {"p99.99": 10}}}, "10,000 requests, p99.99 is the slowest"),
        ({"answers": {"errors": 1.5}}, "answers.errors: "),
        ({"against": {"latency": {"tolerated": 1.5, "noticed": 1.5}}}, "noticed must be larger"),
        ({"requests": 3}, "requests: "),
    ],
)
def test_what_is_wrong_in_an_objective_is_named(table: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as error:
        Slo.read(table, where="slo.toml")
    assert "slo.toml" in str(error.value)
    assert named in str(error.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(sorted(Slo.model_fields)) | st.text(max_size=5)
PARTS = sorted({key for part in (Slo().model_dump().values()) for key in part})


@given(
    st.dictionaries(KEYS, VALUES | st.dictionaries(st.sampled_from(PARTS), VALUES, max_size=3), max_size=3)
)
def test_no_table_is_anything_but_an_objective_or_a_named_mistake(table: dict[str, Any]) -> None:
    with suppress(ConfigError):
        assert Slo.read(table, where="slo.toml") == Slo.model_validate(table)
