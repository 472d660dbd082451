"""The highest rate that holds an objective: which rate is tried next, decided from the tries so far. Pure.

A staircase up (or down) until one rate holds and a higher one breaks, then bisection between them. Rates lie
on a grid of equal ratios, so that the search always ends and a search that was interrupted goes on where it
was. One run is noisy: a rate breaks only after as many fails as are asked for, and the answer must pass as
often, each before the other (the first to n of at most 2n - 1 runs). What could not be measured counts for
neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from pydantic import Field, model_validator

from tonnage.deployment.judge.verdict import Outcome
from tonnage.settings import Section

BOLDEST = 2.0
"""Largest ratio between one rate of the staircase and the next."""

DIGITS = 4
"""Significant digits of a rate."""


class Search(Section):
    """How a highest rate is searched for. Rates in requests per second."""

    start: float = Field(16, gt=0, allow_inf_nan=False)
    """Tried first."""

    stride: float = Field(BOLDEST, gt=1, le=BOLDEST)
    """Ratio of the staircase's first step; each further one is twice as long, at most up to two."""

    slowest: float = Field(0.5, gt=0, allow_inf_nan=False)
    """Where nothing holds, lower rates than this are not tried."""

    fastest: float = Field(20_000, gt=0, allow_inf_nan=False)
    """Higher rates than this are not tried."""

    resolution: float = Field(0.04, ge=0.01, le=0.5)
    """Share by which the answer and the next rate, which breaks, differ."""

    confirmations: int = Field(2, ge=1, le=5)
    """Passes that the answer needs, and fails that the rate above it needs."""

    errors: int = Field(3, ge=1, le=10)
    """Tries of one rate that may be no measurement before it is given up."""

    budget: int = Field(40, ge=1, le=1000)
    """Tries in all."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.slowest <= self.start <= self.fastest:
            raise ValueError("start must lie between slowest and fastest")
        return self

    def rate(self, level: int) -> float:
        """The rate of a place on the grid."""
        rate = (1 + self.resolution) ** level
        return round(rate, DIGITS - 1 - math.floor(math.log10(rate)))

    def level(self, rate: float) -> int:
        """The place on the grid that is nearest to a rate."""
        return round(math.log(rate) / math.log1p(self.resolution))

    def near(self, rate: float) -> "Search":
        """The same search, begun beside a rate that is expected to be about the answer."""
        start = min(max(rate, self.slowest), self.fastest)
        stride = min(BOLDEST, (1 + self.resolution) ** 2)
        return self.model_copy(update={"start": start, "stride": stride})


class Tried(Protocol):
    """One try, as the search sees it."""

    @property
    def rate(self) -> float:
        """Requests per second that were asked for."""
        ...

    @property
    def outcome(self) -> Outcome:
        """Pass and fail; anything else is no measurement."""
        ...


class Standing(StrEnum):
    """What the tries of one rate say together."""

    OPEN = "open"
    HOLDS = "holds"
    CONFIRMED = "confirmed"
    BREAKS = "breaks"
    UNMEASURED = "unmeasured"


class Ending(StrEnum):
    """Why a search is over."""

    FOUND = "found"
    AT_LEAST = "at least"
    NOTHING_HOLDS = "nothing holds"
    UNMEASURED = "could not be measured"
    OUT_OF_TRIES = "out of tries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Try this.

    Attributes:
        rate: requests per second.
        why: of this rate, in words.
    """

    rate: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the tries so far bound.

    Attributes:
        highest: rate that holds, below every one that breaks; None where none does.
        breaks: the least rate that breaks; None where none is known.
        unmeasured: whether what bounds it above could not be measured, so that it may hold as well.
        confirmed: whether `highest` passed as often as is asked for.
    """

    highest: float | None
    breaks: float | None
    unmeasured: bool
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The search is over.

    Attributes:
        ending: why.
        known: the answer.
    """

    ending: Ending
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How much of a search is left.

    Attributes:
        likely: tries, if no run contradicts an earlier one and the answer lies amid what is still possible.
        most: tries, whatever comes.
        seconds: that the likely ones take.
    """

    likely: int
    most: int
    seconds: float


def decide(tries: Sequence[Tried], search: Search) -> Next | End:
    """The next rate to try, or the end. The same tries, the same decision.

    Ends whatever comes: there are finitely many rates between `slowest` and `fastest`, none is tried again
    once it is decided, and none more often than it takes to decide it.
    """
    standings = _standings(tries, search)
    known = _known(standings, search)
    step = _step(standings, search)
    if isinstance(step, Next) and len(tries) >= search.budget:
        return End(ending=Ending.OUT_OF_TRIES, known=known)
    return step if isinstance(step, Next) else End(ending=step, known=known)


def known(tries: Sequence[Tried], search: Search) -> Known:
    """What is known by now, wherever the search was interrupted."""
    return _known(_standings(tries, search), search)


def outlook(tries: Sequence[Tried], search: Search, *, seconds: float) -> Outlook:
    """How much is left.

    Args:
        tries: so far.
        search: how it is searched.
        seconds: that one try takes.
    """
    if isinstance(decide(tries, search), End):
        return Outlook(likely=0, most=0, seconds=0.0)
    ahead: list[Tried] = list(tries)
    answer = _guess(_known(_standings(tries, search), search), search)
    while isinstance(step := decide(ahead, search), Next):
        outcome = Outcome.PASS if step.rate <= answer else Outcome.FAIL
        ahead.append(_Imagined(rate=step.rate, outcome=outcome))
    likely = len(ahead) - len(tries)
    return Outlook(likely=likely, most=search.budget - len(tries), seconds=likely * seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Imagined:
    rate: float
    outcome: Outcome


def _guess(known: Known, search: Search) -> float:
    if known.highest is None:
        return math.sqrt(search.slowest * (known.breaks or search.start))
    return math.sqrt(known.highest * (known.breaks or known.highest * BOLDEST))


def _standings(tries: Sequence[Tried], search: Search) -> dict[int, Standing]:
    by_level: dict[int, list[Outcome]] = {}
    for each in tries:
        by_level.setdefault(search.level(each.rate), []).append(each.outcome)
    return {level: _standing(outcomes, search) for level, outcomes in sorted(by_level.items())}


def _standing(outcomes: Sequence[Outcome], search: Search) -> Standing:
    passes = fails = errors = 0
    for outcome in outcomes:
        passes += outcome is Outcome.PASS
        fails += outcome is Outcome.FAIL
        errors += outcome not in {Outcome.PASS, Outcome.FAIL}
        # Who is first decides: runs after that are not asked for.
        if passes == search.confirmations:
            return Standing.CONFIRMED
        if fails == search.confirmations:
            return Standing.BREAKS
        if errors == search.errors:
            return Standing.UNMEASURED
    return Standing.HOLDS if passes and not fails else Standing.OPEN


def _bounds(standings: dict[int, Standing]) -> tuple[int | None, int | None]:
    """The highest place that holds below all that do not, and the lowest that does not."""
    closed = {Standing.BREAKS, Standing.UNMEASURED}
    ceiling = min((at for at, each in standings.items() if each in closed), default=None)
    holding = {Standing.HOLDS, Standing.CONFIRMED}
    floors = [at for at, each in standings.items() if each in holding and (ceiling is None or at < ceiling)]
    return max(floors, default=None), ceiling


def _known(standings: dict[int, Standing], search: Search) -> Known:
    floor, ceiling = _bounds(standings)
    return Known(
        highest=None if floor is None else search.rate(floor),
        breaks=None if ceiling is None else search.rate(ceiling),
        unmeasured=ceiling is not None and standings[ceiling] is Standing.UNMEASURED,
        confirmed=floor is not None and standings[floor] is Standing.CONFIRMED,
    )


def _step(standings: dict[int, Standing], search: Search) -> Next | Ending:
    if not standings:
        return Next(rate=search.rate(search.level(search.start)), why="to begin with")
    undecided = [at for at, each in standings.items() if each is Standing.OPEN]
    if undecided:
        return Next(rate=search.rate(undecided[0]), why="once more, since one run may err")
    floor, ceiling = _bounds(standings)
    if floor is None:
        return _lower(standings, search)
    if ceiling is None and floor < search.level(search.fastest):
        return _higher(standings, search, floor)
    if ceiling is not None and ceiling - floor > 1:
        why = f"between {search.rate(floor):g}, which holds, and {search.rate(ceiling):g}"
        return Next(rate=search.rate((floor + ceiling) // 2), why=why)
    if standings[floor] is Standing.HOLDS:
        return Next(rate=search.rate(floor), why="to confirm the answer")
    # Above what could not be measured more may hold.
    return Ending.FOUND if ceiling is not None and standings[ceiling] is Standing.BREAKS else Ending.AT_LEAST


def _lower(standings: dict[int, Standing], search: Search) -> Next | Ending:
    if Standing.BREAKS not in standings.values():
        # If not even the first rate can be measured, a lower one would not be either.
        return Ending.UNMEASURED
    lowest, least = min(standings), search.level(search.slowest)
    if lowest <= least:
        measured = standings[lowest] is Standing.BREAKS
        return Ending.NOTHING_HOLDS if measured else Ending.UNMEASURED
    down = max(least, lowest - _stride(len(standings) - 1, search))
    return Next(rate=search.rate(down), why="lower, since nothing holds yet")


def _higher(standings: dict[int, Standing], search: Search, floor: int) -> Next:
    up = min(search.level(search.fastest), floor + _stride(len(standings) - 1, search))
    return Next(rate=search.rate(up), why="higher, since everything holds yet")


def _stride(steps: int, search: Search) -> int:
    """Places on the grid that the staircase goes, after so many steps."""
    first = max(1, search.level(search.stride))
    # Shifted by no more than makes it the boldest, since numbers of steps are not bounded here.
    return max(1, min(first << min(steps, 8), search.level(BOLDEST)))
