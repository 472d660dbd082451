"""A plan carries what was asked for at the least price, and is written as values that the chart takes."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.simulated_service import MIB, Retriever

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import ConfigError, LoadError
from tonnage.load.line import LoadLine, Point, Usage
from tonnage.load.plan_values import values_of, write_plan
from tonnage.load.planning import Demand, plan
from tonnage.load.searching import Ending
from tonnage.load.walking import walk

CHART = Path(__file__).resolve().parents[3] / "charts" / "recommender"

SERVICE = Retriever(items=1_000_000)


def point(variant: str = "hnsw-i8", *, rate: float | None = 100.0, room: float = 1.5, **more: Any) -> Point:
    needed = SERVICE.place(variant, MIB).needed_bytes
    limit = math.ceil(needed * room / MIB) * MIB
    used = {
        "retriever": Usage(cpu_cores=0.2, memory_bytes=limit - MIB, memory_limit_bytes=limit),
        "ranker": Usage(cpu_cores=0.5, memory_bytes=200 * MIB, memory_limit_bytes=768 * MIB),
        "recommender": Usage(cpu_cores=0.8, memory_bytes=300 * MIB),
    }
    given = {"usage": used, "source": "measured", "ending": Ending.FOUND, **more}
    return Point(place=SERVICE.place(variant, limit), highest_rate=rate, low=rate, **given)


def line(*points: Point) -> LoadLine:
    return SERVICE.line().model_copy(update={"points": points})


def test_the_busiest_bento_carries_what_was_measured_and_the_others_more():
    made = plan(line(point()), Demand(rate=500, headroom=0.3))
    sizes = {each.bento: each for each in made.chosen.sizes}
    assert sizes["recommender"].carries == 100
    assert sizes["recommender"].source == "measured"
    assert sizes["recommender"].pods == 7  # 500 * 1.3 / 100
    assert sizes["ranker"].carries == pytest.approx(112)  # until 0.7 * 0.8 cores
    assert sizes["ranker"].source == "predicted"
    assert sizes["retriever"].carries == pytest.approx(280)
    assert sizes["retriever"].pods == 3
    assert sizes["recommender"].most == 13


@given(
    rate=st.floats(1, 3000),
    headroom=st.floats(0, 2),
    cores=st.lists(st.floats(0.001, 3), min_size=3, max_size=3),
    peak=st.floats(1, 5),
)
def test_pods_times_what_they_carry_is_enough_and_one_pod_less_is_not(
    rate: float, headroom: float, cores: list[float], peak: float
):
    known = point()
    usage = {
        name: used.model_copy(update={"cpu_cores": cpu})
        for (name, used), cpu in zip(known.usage.items(), cores, strict=True)
    }
    demand = Demand(rate=rate, headroom=headroom, peak=peak, most_pods=10_000)
    made = plan(line(known.model_copy(update={"usage": usage})), demand)
    for size in made.chosen.sizes:
        wanted = rate * (1 + headroom)
        assert size.pods * size.carries >= wanted * (1 - 1e-6)
        assert (size.pods - 1) * size.carries < wanted
        assert size.most >= size.pods
        assert size.memory_bytes <= size.limit_bytes
        # The autoscaler wants at the planned rate no more pods than are planned (its tolerance is a tenth).
        used = usage[size.bento].cpu_cores / 100 * rate
        assert math.ceil(used / size.cpu_cores / 1.1 - 1e-6) <= size.pods
    busiest = min(made.chosen.sizes, key=lambda each: each.carries)
    assert busiest.carries == pytest.approx(100)


def test_the_cheapest_index_that_holds_the_floor_is_taken():
    exact, small = point("hnsw-f32", rate=100), point("hnsw-i8", rate=100)
    below = point("hnsw-i8half", rate=400)
    made = plan(line(exact, small, below), Demand(rate=500))
    assert made.chosen.point == small
    says = {each.point.place.precision: each.says for each in made.options}
    assert says["hnsw-i8"] == "the cheapest"
    assert says["hnsw-f32"].startswith("costs ")
    assert "95.0% is the floor" in says["hnsw-i8half"]
    assert plan(line(exact, small), Demand(rate=500), floor=0.99).chosen.point == exact


def test_of_equal_prices_the_more_exact_index_is_taken():
    free = Demand(rate=500, cpu_price=0, gib_price=0)
    assert plan(line(point("hnsw-i8"), point("hnsw-f16")), free).chosen.point.place.precision == "hnsw-f16"


def test_dear_memory_takes_the_smaller_index_and_dear_cpu_the_faster_one():
    fast = point("hnsw-f32", rate=140, room=3)
    small = point("hnsw-i8", rate=100, room=1)
    dear_memory = plan(line(fast, small), Demand(rate=900, cpu_price=0, gib_price=1))
    dear_cpu = plan(line(fast, small), Demand(rate=900, cpu_price=1, gib_price=0))
    assert dear_memory.chosen.point == small
    assert dear_cpu.chosen.point == fast


def test_an_index_is_named_only_where_the_memory_plan_would_take_another():
    small, exact = point("hnsw-i8", room=4), point("hnsw-f32", room=1, rate=20)
    assert exact.place.needed_bytes <= small.place.memory_limit_bytes
    values = values_of(plan(line(small, exact), Demand(rate=500)))
    assert values["retriever"]["env"] == {"TONNAGE_INDEX": "hnsw-i8"}
    assert "env" not in values_of(plan(line(small), Demand(rate=500)))["retriever"]


@pytest.mark.parametrize(
    ("points", "demand", "says"),
    [
        ((), {}, "has no point yet"),
        ((point("hnsw-i8half"),), {}, "no index on this load line finds 95.0%.*lower the floor"),
        ((point(rate=None),), {}, "no rate held simulated .0.99 of the requests within 100 ms"),
        ((point(usage={}),), {}, "metrics-server"),
        (
            (point(),),
            {"rate": 50_000},
            r"need 650 pods of one bento, and 100 are allowed: .* 7,692 requests/s",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence_with_what_would_do(
    points: tuple[Point, ...], demand: dict[str, float], says: str
):
    with pytest.raises(LoadError, match=says) as raised:
        plan(line(*points), Demand.model_validate({"rate": 500, **demand}))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"rate": float("nan")}, {"rate": 5, "headroom": -1}, {"rate": 5, "tempo": 2}]
)
def test_a_demand_that_cannot_be_is_named(wrong: dict[str, float]):
    with pytest.raises(ConfigError, match="plan"):
        Demand.read(wrong, where="plan")


def schema_of(path: tuple[str, ...]) -> dict[str, Any]:
    """The part of the chart's schema for one key, with references followed and alternatives of all joined."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def whole(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            return whole(schema["definitions"][node["$ref"].rpartition("/")[2]])
        joined: dict[str, Any] = dict(node)
        for part in node.get("allOf", ()):
            joined = {**joined, **whole(part)} if "$ref" in part else joined
        return joined

    found = whole(schema)
    for key in path:
        found = whole(found["properties"].get(key) or found["additionalProperties"])
    return found


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    return [
        leaf
        for key, value in values.items()
        for leaf in (leaves(value, (*path, key)) if isinstance(value, dict) else [((*path, key), value)])
    ]


TYPES = {bool: "boolean", int: "integer", str: "string"}


@given(rate=st.floats(0.1, 5000), headroom=st.floats(0, 3), used=st.floats(0.0001, 30))
def test_every_value_is_one_that_the_charts_schema_allows(rate: float, headroom: float, used: float):
    """Helm refuses an upgrade with any other; the whole file is given to Helm in the tests of the cluster."""
    known = point()
    usage = {**known.usage, "ranker": Usage(cpu_cores=used, memory_bytes=1)}
    both = line(known.model_copy(update={"usage": usage}), point("hnsw-f32", rate=5))
    made = plan(both, Demand(rate=rate, headroom=headroom, most_pods=100_000))
    for path, value in leaves(values_of(made)):
        if path[-2] == "env":
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", path[-1])
            continue
        allowed = schema_of(path)
        assert TYPES[type(value)] in allowed["type"], path
        if isinstance(value, str):
            assert re.search(allowed["pattern"], value), (path, value)
        elif not isinstance(value, bool):
            assert value >= allowed["minimum"], path


@pytest.mark.parametrize("rate", [300.0, 2000.0])
def test_what_is_planned_carries_the_rate_and_what_the_autoscaler_adds_half_as_much_again(rate: float):
    """Plan, load at the planned rate, pass; at 1.5 times it, with the pods that the target asks for, pass."""
    service = Retriever(items=200_000, requests=3000)
    measured = walk(service.line(), service.places(), service, seconds=1, keep=lambda _: None)
    made = plan(measured, Demand(rate=rate, headroom=0.3))
    place = made.chosen.point.place
    [size] = [each for each in made.chosen.sizes if each.bento == "retriever"]
    assert service.measure(place, rate / size.pods).outcome is Outcome.PASS
    used = service.measure(place, 1.5 * rate / size.pods).usage["retriever"].cpu_cores / size.cpu_cores
    # As a HorizontalPodAutoscaler decides: nothing within a tenth of the target.
    wanted = min(size.most, math.ceil(size.pods * used)) if used > 1.1 else size.pods
    assert wanted > size.pods or 1.5 * rate <= size.pods * size.carries
    assert service.measure(place, 1.5 * rate / wanted).outcome is Outcome.PASS


def test_the_file_is_yaml_and_the_same_each_time(tmp_path: Path):
    made = plan(line(point()), Demand(rate=500))
    one, two = tmp_path / "a" / "values-plan.yaml", tmp_path / "values-plan.yaml"
    write_plan(made, one)
    write_plan(made, two)
    assert one.read_bytes() == two.read_bytes()
    content = yaml.safe_load(one.read_text(encoding="utf-8"))
    assert content["recommender"]["replicas"] == content["recommender"]["autoscaling"]["minReplicas"] == 7
    assert content["gateway"] == {"maxConnections": 100}


def test_few_requests_leave_the_gateway_as_it_is():
    assert "gateway" not in values_of(plan(line(point()), Demand(rate=20)))
