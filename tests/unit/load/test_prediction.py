"""Lines that were not measured, predicted from few that were, on a service that is a queue."""

import math
from dataclasses import dataclass
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.simulated_service import Retriever

from tonnage.errors import LoadError
from tonnage.load.line import LoadLine
from tonnage.load.prediction import Linear, Model
from tonnage.load.queueing import Queue
from tonnage.load.walking import walk


def measured(service: Retriever, room: tuple[float, ...]) -> LoadLine:
    places = service.places(room=room)
    return walk(service.line(f"r-{service.items}"), places, service, seconds=1, keep=lambda _: None)


@pytest.fixture(scope="module")
def few() -> list[LoadLine]:
    """Two sizes of graph and two of scan, at two limits."""
    sizes = (2_000, 15_000, 50_000, 500_000)
    return [measured(Retriever(items=each, requests=2000), (1.02, 1.5)) for each in sizes]


@pytest.fixture(scope="module")
def model(few: list[LoadLine]) -> Model:
    return Model.fit(few)


def off(model: Model, line: LoadLine) -> list[float]:
    found = []
    for point in line.points:
        assert point.highest_rate is not None
        predicted = model.point(point.place, items=line.items, dimensions=line.dimensions)
        assert predicted.highest_rate is not None
        found.append(abs(predicted.highest_rate / point.highest_rate - 1))
    return found


@pytest.mark.parametrize("items", [6_000, 150_000, 10_000_000, 100_000_000])
def test_held_out_sizes_and_limits_are_predicted_within_fifteen_percent(items: int, model: Model):
    line = measured(Retriever(items=items, requests=2000, seed=99), (1.0, 1.1, 3.0))
    assert median(off(model, line)) <= 0.15


@dataclass
class Convex(Retriever):
    """A graph that outgrows the caches: its search slows down faster than the model has it."""

    def service_s(self, variant: str) -> float:
        return super().service_s(variant) * (1 + 0.02 * max(0.0, math.log10(self.items) - 5))


def test_a_service_that_is_not_quite_the_model_is_predicted_too():
    few = [measured(Convex(items=each, requests=2000), (1.2,)) for each in (50_000, 400_000, 2_000_000)]
    held_out = measured(Convex(items=20_000_000, requests=2000, seed=99), (1.2,))
    assert median(off(Model.fit(few), held_out)) <= 0.15


def test_the_interval_holds_what_is_measured_and_widens_with_the_distance(model: Model):
    near, far = (
        measured(Retriever(items=each, requests=2000, seed=5), (1.3,)) for each in (200_000, 100_000_000)
    )
    widths = []
    for line in (near, far):
        points = [model.point(each.place, items=line.items, dimensions=64) for each in line.points]
        inside = [
            (guess.low or 0) <= (point.highest_rate or 0) <= (guess.high or 0)
            for guess, point in zip(points, line.points, strict=True)
        ]
        assert sum(inside) >= 3
        widths.append(median((each.high or 0) / (each.low or 1) for each in points))
    assert widths[1] > widths[0] * 0.99


def test_from_one_size_another_is_predicted_with_a_wide_interval():
    """One size cannot tell what grows with it; a narrow interval would be a lie."""
    model = Model.fit([measured(Retriever(items=50_000, requests=2000), (1.3,))])
    service = Retriever(items=50_000_000)
    [place] = [each for each in service.places() if each.precision == "hnsw-i8"]
    alike = model.point(place, items=50_000, dimensions=64)
    other = model.point(place, items=50_000_000, dimensions=64)
    assert (other.high or 0) / (other.low or 1) > 1.3 * (alike.high or 0) / (alike.low or 1)


def test_memory_and_recall_of_a_catalogue_that_does_not_exist(model: Model):
    service = Retriever(items=10_000_000)
    line = model.line(items=10_000_000, dimensions=64)
    assert [each.place.precision for each in line.points] == ["hnsw-f32", "hnsw-f16", "hnsw-i8"]
    assert {each.source for each in line.points} == {"predicted"}
    for point in line.points:
        truth = service.place(point.place.precision, 1)
        assert point.place.needed_bytes == pytest.approx(truth.needed_bytes, rel=0.02)
        assert point.place.recall_at_100 == truth.recall_at_100
        assert point.memory_bytes is not None
        assert point.memory_bytes <= point.place.memory_limit_bytes


def test_what_bentos_would_use_follows_from_what_they_used(model: Model):
    service = Retriever(items=20_000_000, requests=2000, seed=3)
    line = measured(service, (1.3,))
    for point in line.points:
        guess = model.point(point.place, items=line.items, dimensions=64)
        assert guess.usage.keys() == point.usage.keys()
        for bento, used in point.usage.items():
            assert guess.usage[bento].cpu_cores == pytest.approx(used.cpu_cores, rel=0.15)


def test_limits_that_nothing_fits_are_refused(model: Model):
    with pytest.raises(LoadError, match="larger limits"):
        model.line(items=100_000_000, dimensions=64, limits=[2**30])


def test_a_graph_is_not_predicted_from_scans():
    model = Model.fit([measured(Retriever(items=5_000, requests=1000), (1.5,))])
    place = Retriever(items=10_000_000).places()[0]
    with pytest.raises(LoadError, match="no graph was measured"):
        model.point(place, items=10_000_000, dimensions=64)


def test_lines_of_different_machines_are_not_mixed(few: list[LoadLine]):
    other = few[1].model_copy(update={"machine": few[1].machine.model_copy(update={"cores": 64})})
    with pytest.raises(LoadError, match="different machines"):
        Model.fit([few[0], other])


def test_a_line_without_a_rate_fits_nothing():
    with pytest.raises(LoadError, match="no highest rate was measured"):
        Model.fit([Retriever(items=5_000).line()])


@given(
    fixed=st.floats(1e6, 1e9),
    per_item=st.floats(0, 500),
    items=st.lists(st.integers(1000, 10**8), min_size=2, max_size=5, unique=True),
)
def test_a_straight_line_of_memory_is_found_again(fixed: float, per_item: float, items: list[int]):
    truth = [fixed + per_item * each for each in items]
    found = Linear.fit(items, truth)
    assert [found.at(each) for each in items] == pytest.approx(truth, rel=0.01)


@given(st.floats(1e-4, 0.05), st.integers(1, 16), st.floats(1, 500), st.floats(1, 4))
def test_a_queue_carries_more_with_more_room_time_or_servers(
    service_s: float, servers: int, room: float, times: float
):
    queue = Queue(service_s=service_s, servers=servers, room=room)
    rate = queue.highest(0.2, 0.99)
    assert 0 <= rate < servers / service_s
    assert Queue(service_s=service_s, servers=servers, room=room * times).highest(0.2, 0.99) >= rate * 0.999
    assert queue.highest(0.2 * times, 0.99) >= rate * 0.999
    assert Queue(service_s=service_s, servers=servers + 1).highest(0.2, 0.99) >= rate * 0.999


def test_a_queue_of_one_server_is_the_one_of_the_textbook():
    """M/M/1: the time inside is exponential with the spare capacity as its rate."""
    queue = Queue(service_s=0.01, servers=1)
    assert queue.failing(60, 0.1) == pytest.approx(math.exp(-(100 - 60) * 0.1))
    assert queue.highest(0.1, 0.99) == pytest.approx(100 - math.log(100) / 0.1)
    full = Queue(service_s=0.01, servers=1, room=3)
    assert full.failing(80, 1e9) == pytest.approx(0.8**3 / sum(0.8**n for n in range(4)))


def test_the_time_inside_is_that_of_a_simulation():
    random = np.random.default_rng(1)
    queue = Queue(service_s=0.01, servers=3)
    arrivals = np.cumsum(random.exponential(1 / 240, 200_000))
    work = random.exponential(0.01, 200_000)
    free, late = [0.0, 0.0, 0.0], 0
    for at, needs in zip(arrivals.tolist(), work.tolist(), strict=True):
        first = min(range(3), key=free.__getitem__)
        free[first] = max(at, free[first]) + needs
        late += free[first] - at > 0.06
    assert queue.failing(240, 0.06) == pytest.approx(late / 200_000, rel=0.1)


@dataclass
class Wider(Retriever):
    """A graph that must be searched more widely, the larger it is, and outgrows the caches."""

    def service_s(self, variant: str) -> float:
        return 0.001 + 0.0008 * (self.items / 25_000) ** 0.4


def test_graphs_that_slow_down_faster_than_the_logarithm_are_predicted_between_two_sizes():
    """As those that were measured do: the logarithm alone was off by a fifth at both of its ends."""
    few = [measured(Wider(items=each, requests=2000), (1.5,)) for each in (25_000, 400_000)]
    model = Model.fit(few)
    for line in [*few, measured(Wider(items=100_000, requests=2000, seed=99), (1.05, 1.5))]:
        assert median(off(model, line)) <= 0.1
