"""Measuring a load line: at each place the highest rate is searched for; limits are put back whatever comes.

What is done to the service is given as actions; what is done next is decided by `searching`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import TonnageError
from tonnage.load.line import LoadLine, Place, Point, Try
from tonnage.load.searching import End, Next, Outlook, Search, decide, outlook

Settings = TypeVar("Settings")


class Service(Protocol[Settings]):
    """The service whose line is measured, and who loads it."""

    def settings(self) -> Settings:
        """What the walk will change, as it is now."""
        ...

    def move(self, place: Place) -> None:
        """Give the service this limit and this index: in place where that can be, and wait until it serves.

        Raises:
            TonnageError: it may not, or it cannot.
        """
        ...

    def measure(self, place: Place, rate: float) -> Try:
        """Load it at a rate and judge what it did."""
        ...

    def put_back(self, settings: Settings) -> None:
        """Give it back what it had. Called again if it is interrupted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a person is shown while it runs.

    Attributes:
        place: where it is.
        number: of the place, from 1.
        places: in all.
        step: what is tried now; None when the place is done.
        tries: of this place so far.
        outlook: what is left at this place.
        seconds: that all of what is left likely takes, the places to come included.
    """

    place: Place
    number: int
    places: int
    step: Next | None
    tries: Sequence[Try]
    outlook: Outlook
    seconds: float


def walk(
    line: LoadLine,
    places: Sequence[Place],
    service: Service[Settings],
    *,
    seconds: float,
    keep: Callable[[LoadLine], None],
    watch: Callable[[Progress], None] = lambda _: None,
) -> LoadLine:
    """Measure a line, or go on with one that was interrupted.

    Args:
        line: what is there; what it knows of a place is not measured again.
        places: in their order.
        service: whose limits are changed meanwhile, and put back at the end, after an error and after Ctrl-C.
        seconds: that one try takes.
        keep: is given the line after every try, so that nothing measured is lost.
        watch: is told what is tried.

    Raises:
        TonnageError: a place cannot be prepared, or the limits cannot be put back.
    """
    with _put_back(service):
        for number, place in enumerate(places, start=1):
            search = _search(line, place)
            moved = False
            tries = list(found.tries) if (found := line.point(place)) else []
            while isinstance(step := decide(tries, search), Next):
                watch(_progress(line, places, number, tries, search, step=step, seconds=seconds))
                if not moved:
                    service.move(place)
                    moved = True
                tries.append(_measured(service, place, step.rate))
                line = line.with_point(Point.of(place, tries, search))
                keep(line)
            if isinstance(step, End):
                watch(_progress(line, places, number, tries, search, step=None, seconds=seconds))
    return line


@contextmanager
def _put_back(service: Service[Settings]) -> Iterator[None]:
    before = service.settings()
    try:
        yield
    finally:
        try:
            service.put_back(before)
        except KeyboardInterrupt:
            # A second Ctrl-C is impatience with the first one: it must not leave the limits changed.
            service.put_back(before)
            raise


def _measured(service: Service[Settings], place: Place, rate: float) -> Try:
    began = datetime.now(UTC)
    try:
        return service.measure(place, rate)
    except TonnageError as error:
        # What could not be measured is part of what was found, and is tried again before it is given up.
        seconds = (datetime.now(UTC) - began).total_seconds()
        return Try(at=began, seconds=seconds, rate=rate, outcome=Outcome.ERROR, reasons=(str(error),))


def _search(line: LoadLine, place: Place) -> Search:
    """The search at a place begins at what a place like it carried."""
    alike = [each for each in line.points if each.highest_rate and each.place != place]
    same = [each for each in alike if each.place.precision == place.precision] or alike
    rates = [each.highest_rate for each in same if each.highest_rate is not None]
    return line.search.near(rates[-1]) if rates else line.search


def _progress(
    line: LoadLine,
    places: Sequence[Place],
    number: int,
    tries: Sequence[Try],
    search: Search,
    *,
    step: Next | None,
    seconds: float,
) -> Progress:
    here = outlook(tries, search, seconds=seconds)
    # Places to come begin near the answer of this one.
    guess = search.near(tries[-1].rate) if tries else search
    ahead = sum(_left(line, place, guess, seconds) for place in places[number:])
    return Progress(
        place=places[number - 1],
        number=number,
        places=len(places),
        step=step,
        tries=tries,
        outlook=here,
        seconds=here.seconds + ahead,
    )


def _left(line: LoadLine, place: Place, search: Search, seconds: float) -> float:
    found = line.point(place)
    return outlook(found.tries if found else (), search, seconds=seconds).seconds


class Choice(Protocol):
    """An index variant, as the memory plan weighed it."""

    @property
    def name(self) -> str:
        """Of the variant."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Memory that it keeps resident."""
        ...

    @property
    def needed_bytes(self) -> int:
        """The least limit with which it is served."""
        ...

    @property
    def recall_at_100(self) -> float:
        """Share of the exact top 100 that it finds."""
        ...


def places_of(
    limits: Iterable[int], choices: Sequence[Choice], *, cpu_cores: float, floor: float
) -> tuple[Place, ...]:
    """Every limit with every index that fits it and reaches the recall floor.

    One index after the other, since a new index needs a new pod; its limits from the largest to the least,
    since a limit that is lowered in place takes nothing from who never used it.

    Args:
        limits: bytes.
        choices: from the most exact to the least.
        cpu_cores: that the pod may use.
        floor: recall@100 below which nothing is served.
    """
    descending = sorted(set(limits), reverse=True)
    return tuple(
        Place(
            memory_limit_bytes=limit,
            cpu_cores=cpu_cores,
            precision=each.name,
            resident_bytes=each.resident_bytes,
            needed_bytes=each.needed_bytes,
            recall_at_100=each.recall_at_100,
        )
        for each in choices
        for limit in descending
        if each.needed_bytes <= limit and each.recall_at_100 >= floor
    )
