"""How many people there are while a test goes on: a share of `--users`, by the share of its length."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STEADY = "steady"
"""Locust's own way: `--users` from the start, `--spawn-rate` of them each second, for `--run-time`."""

BASE = 0.25
"""Share of the people that a spike rises from and falls back to."""

NIGHT = 0.1
"""Share of the people who are there in a day's quietest hour."""

WARMING = 0.05
"""Share of a soak in which its people come."""


def ramp(passed: float) -> float:
    """More and more, evenly, until everybody is there at the end. Pure, as all shapes.

    Args:
        passed: share of the test's length, from 0 to 1.
    """
    return passed


def spike(passed: float) -> float:
    """A quarter, then at once everybody for a fifth of the test, then a quarter again. See `ramp`."""
    return 1.0 if 0.4 <= passed < 0.6 else BASE


def diurnal(passed: float) -> float:
    """A day from midnight to midnight: few at its ends, everybody at noon. See `ramp`."""
    return NIGHT + (1 - NIGHT) * (0.5 - 0.5 * math.cos(2 * math.pi * passed))


def soak(passed: float) -> float:
    """Everybody, for long; they come in the first twentieth. See `ramp`."""
    return min(1.0, passed / WARMING)


@dataclass(frozen=True, slots=True)
class Shape:
    """A course of a test.

    Attributes:
        share: of the people, by the share of the length that has passed.
        length_s: where no `--run-time` is given.
    """

    share: Callable[[float], float]
    length_s: float = 600.0


SHAPES: Mapping[str, Shape] = {
    "ramp": Shape(ramp),
    "spike": Shape(spike),
    "diurnal": Shape(diurnal),
    "soak": Shape(soak, 7200.0),
}


def people(shape: Shape, at_s: float, *, users: int, length_s: float) -> int | None:
    """How many people there are at a moment of a test; None when it is over. Pure.

    Args:
        shape: of the test.
        at_s: seconds since it began.
        users: everybody.
        length_s: of the test.
    """
    if at_s >= length_s:
        return None
    return max(1, round(users * shape.share(at_s / length_s)))
