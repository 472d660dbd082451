"""Whatever happens while a line is measured, limits are put back and nothing measured is lost."""

from dataclasses import dataclass
from typing import Self

import pytest
from tests.factories.simulated_service import MIB, Retriever

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import ClusterError
from tonnage.load.line import LoadLine, Place, Try
from tonnage.load.searching import Ending
from tonnage.load.walking import Progress, places_of, walk

FORMER = 12_345


class Cluster(Retriever):
    """Remembers what was done to it, and raises at the n-th action."""

    def __init__(self, *, raising: BaseException | None = None, at: int = 10**9) -> None:
        super().__init__(items=30_000, requests=600)
        self.raising, self.at, self.actions = raising, at, 0
        self.limit = FORMER
        self.moves: list[Place] = []
        self.interrupted_again = 0

    def _act(self) -> None:
        self.actions += 1
        if self.raising is not None and self.actions == self.at:
            raise self.raising

    def settings(self) -> int:
        return self.limit

    def move(self, place: Place) -> None:
        self.limit = place.memory_limit_bytes
        self.moves.append(place)
        self._act()

    def measure(self, place: Place, rate: float) -> Try:
        self._act()
        return super().measure(place, rate)

    def put_back(self, settings: int) -> None:
        if self.interrupted_again:
            self.interrupted_again -= 1
            raise KeyboardInterrupt
        self.limit = settings


@dataclass(frozen=True)
class Choice:
    """What the memory plan says of a variant."""

    name: str
    resident_bytes: int
    needed_bytes: int
    recall_at_100: float

    @classmethod
    def of(cls, place: Place) -> Self:
        return cls(place.precision, place.resident_bytes, place.needed_bytes, place.recall_at_100)


class Kept:
    """The line as it was last kept."""

    def __init__(self, service: Cluster) -> None:
        self.line = service.line()

    def __call__(self, line: LoadLine) -> None:
        self.line = line

    @property
    def tries(self) -> int:
        return sum(len(point.tries) for point in self.line.points)


@pytest.mark.parametrize("raising", [KeyboardInterrupt(), SystemExit(1), RuntimeError("no"), MemoryError()])
@pytest.mark.parametrize("at", [1, 2, 5, 20])
def test_limits_are_put_back_and_tries_are_kept_whatever_is_raised(raising: BaseException, at: int):
    service = Cluster(raising=raising, at=at)
    kept = Kept(service)
    with pytest.raises(type(raising)):
        walk(kept.line, service.places(), service, seconds=1, keep=kept)
    assert service.limit == FORMER
    assert kept.tries == at - len(service.moves) - (at != 1)
    assert at <= 2 or kept.line.points[-1].ending == "interrupted"


def test_limits_are_put_back_when_keeping_fails():
    """A full disk must not leave a shop with a smaller limit."""
    service = Cluster()

    def full(_: LoadLine) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        walk(service.line(), service.places(), service, seconds=1, keep=full)
    assert service.limit == FORMER


def test_a_second_interrupt_does_not_stop_the_putting_back():
    service = Cluster(raising=KeyboardInterrupt(), at=4)
    service.interrupted_again = 1
    with pytest.raises(KeyboardInterrupt):
        walk(service.line(), service.places(), service, seconds=1, keep=lambda _: None)
    assert service.limit == FORMER


def test_limits_are_put_back_at_the_end():
    service = Cluster()
    walk(service.line(), service.places()[:1], service, seconds=1, keep=lambda _: None)
    assert service.limit == FORMER


def test_a_move_that_is_not_allowed_ends_the_walk_with_its_own_sentence():
    refused = ClusterError("no permission to resize pods", hint="Ask for pods/resize.")
    service = Cluster(raising=refused, at=1)
    with pytest.raises(ClusterError, match="no permission to resize"):
        walk(service.line(), service.places(), service, seconds=1, keep=lambda _: None)
    assert service.limit == FORMER


def test_a_run_that_fails_to_measure_is_an_error_that_is_kept_and_tried_again():
    service = Cluster(raising=ClusterError("metrics-server is away"), at=3)
    kept = Kept(service)
    line = walk(kept.line, service.places()[:1], service, seconds=1, keep=kept)
    [point] = line.points
    errors = [each for each in point.tries if each.outcome is Outcome.ERROR]
    assert [each.reasons for each in errors] == [("metrics-server is away",)]
    assert point.ending is Ending.FOUND


def test_a_walk_that_was_interrupted_goes_on_where_it_was():
    whole = Cluster()
    expected = walk(whole.line(), whole.places(), whole, seconds=1, keep=lambda _: None)
    cut = Cluster(raising=KeyboardInterrupt(), at=14)
    kept = Kept(cut)
    with pytest.raises(KeyboardInterrupt):
        walk(kept.line, cut.places(), cut, seconds=1, keep=kept)
    before = kept.line
    cut.raising = None
    line = walk(before, cut.places(), cut, seconds=1, keep=kept)
    assert [each.ending for each in line.points] == [Ending.FOUND] * len(cut.places())
    for point in before.points:
        again = line.point(point.place)
        assert again is not None
        assert again.tries[: len(point.tries)] == point.tries
    for point, other in zip(line.points, expected.points, strict=True):
        assert point.highest_rate == pytest.approx(other.highest_rate, rel=0.15)


def test_a_place_that_is_known_is_not_visited_again():
    service = Cluster()
    line = walk(service.line(), service.places(), service, seconds=1, keep=lambda _: None)
    moves = len(service.moves)
    assert walk(line, service.places(), service, seconds=1, keep=lambda _: None) == line
    assert len(service.moves) == moves == len(service.places())


def test_the_outlook_counts_down_and_names_every_try():
    service = Cluster()
    seen: list[Progress] = []
    line = walk(service.line(), service.places(), service, seconds=10, keep=lambda _: None, watch=seen.append)
    tried = [each for each in seen if each.step is not None]
    assert len(tried) == sum(len(point.tries) for point in line.points)
    assert seen[-1].seconds == 0
    assert seen[0].seconds > seen[len(seen) // 2].seconds > 0
    assert {each.number for each in seen} == {1, 2, 3, 4}


@pytest.mark.parametrize(("truth", "room"), [("exact-i8", 1.5), ("exact-f32", 1.3)])
def test_a_line_measured_twice_is_the_same_within_ten_percent(truth: str, room: float):
    rates = []
    for seed in (1, 2):
        service = Retriever(items=10_000, seed=seed)
        place = service.place(truth, int(service.place(truth, MIB).needed_bytes * room))
        line = walk(service.line(), [place], service, seconds=1, keep=lambda _: None)
        rates.append(line.points[0].highest_rate or 0.0)
    assert rates[0] == pytest.approx(rates[1], rel=0.1)


def test_only_what_fits_and_reaches_the_floor_is_walked():
    service = Retriever(items=30_000)
    names = ("hnsw-f32", "hnsw-f16", "hnsw-i8", "hnsw-i8half")
    choices = [Choice.of(service.place(name, MIB)) for name in names]
    limits = [choices[1].needed_bytes, 2 * choices[0].needed_bytes, choices[3].needed_bytes - 1]
    places = places_of(limits, choices, cpu_cores=2, floor=0.95)
    assert [(each.precision, each.memory_limit_bytes) for each in places] == [
        ("hnsw-f32", limits[1]),
        ("hnsw-f16", limits[1]),
        ("hnsw-f16", limits[0]),
        ("hnsw-i8", limits[1]),
        ("hnsw-i8", limits[0]),
    ]
