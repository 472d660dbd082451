"""Load lines compared: one with itself, and what a model predicts with what was measured. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from measures import Measure
from tonnage.load.line import MIB, LoadLine, Place, Point
from tonnage.load.prediction import Model

ALIKE = 0.10
"""Share by which two measurements of one place may differ."""

OFF = 0.15
"""Share of what is measured by which predictions may be off, in the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A point that was measured and not shown to the model.

    Attributes:
        items: of its catalogue.
        point: as it was measured.
        predicted: by the model.
    """

    items: int
    point: Point
    predicted: Point

    @property
    def off(self) -> float:
        """Share of the measured rate by which the prediction is off."""
        return abs((self.predicted.highest_rate or 0.0) / (self.point.highest_rate or 0.0) - 1)

    @property
    def inside(self) -> bool:
        """Whether the prediction's interval holds the measured rate."""
        rate = self.point.highest_rate or 0.0
        return (self.predicted.low or 0.0) <= rate <= (self.predicted.high or 0.0)

    @property
    def says(self) -> str:
        """In words."""
        guessed, measured = self.predicted.highest_rate or 0.0, self.point.highest_rate or 0.0
        return f"{named(self.items, self.point.place)} {guessed:.4g} for {measured:.4g}/s"


def alike(first: Sequence[LoadLine], second: Sequence[LoadLine]) -> list[Measure]:
    """Whether two measurements of each place are alike; a place that one of them lacks is a miss."""
    again = {(line.items, each.place): each for line in second for each in line.points}
    pairs = [
        (line.items, each, again.get((line.items, each.place))) for line in first for each in line.points
    ]
    return [_alike(items, one, other) for items, one, other in pairs]


def _alike(items: int, one: Point, other: Point | None) -> Measure:
    rates = [each.highest_rate for each in (one, other) if each is not None and each.highest_rate]
    off = max(rates) / min(rates) - 1 if len(rates) == 2 else float("inf")
    says = " and ".join(f"{each:.4g}/s" for each in rates)
    return Measure(
        name=f"the same line measured twice, {named(items, one.place)}",
        target=f"within {ALIKE:.0%}",
        measured=f"{says} ({off:.1%} apart)"
        if len(rates) == 2
        else f"only {says or 'nothing'}: {one.ending}, {other.ending if other else 'not tried'}",
        holds=off <= ALIKE,
    )


def error(fitted: Sequence[LoadLine], held_out: Sequence[LoadLine]) -> Measure:
    """How far predictions are off, in the median of the points that the model did not see.

    Raises:
        LoadError: there is nothing to fit to.
    """
    found = guesses(Model.fit(fitted), held_out)
    sizes = sorted({line.items for line in fitted})
    name = (
        f"rates predicted from lines of {' and '.join(f'{each:,}' for each in sizes)} items, for "
        f"{len(found)} other limits and catalogues: median error"
    )
    if not found:
        return Measure(name=name, target=f"<= {OFF:.0%}", measured="no point was measured", holds=False)
    off = median(each.off for each in found)
    inside = sum(each.inside for each in found)
    each_one = "; ".join(each.says for each in found)
    return Measure(
        name=name,
        target=f"<= {OFF:.0%}",
        measured=f"{off:.1%} ({each_one}; {inside} of {len(found)} in their intervals)",
        holds=off <= OFF,
    )


def guesses(model: Model, held_out: Sequence[LoadLine]) -> list[Guess]:
    """What a model says of every point that has a rate."""
    return [
        Guess(
            items=line.items,
            point=each,
            predicted=model.point(each.place, items=line.items, dimensions=line.dimensions),
        )
        for line in held_out
        for each in line.points
        if each.highest_rate
    ]


def named(items: int, place: Place) -> str:
    """Where that is."""
    return f"{items:,} items, {place.precision} at {place.memory_limit_bytes // MIB}Mi"
