"""Load lines of catalogues and limits that were not measured, by a model that is fitted to measured points.

Throughput is `throughput`'s model. Memory is a fixed part, a part per item, and the index, whose bytes follow
from its layout and the manifest. It is a straight line: where a pod's need bends (the working memory of one
request is 24 MiB or 24 bytes per item, whichever is more), measure on both sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from tonnage.errors import LoadError
from tonnage.index import predict_bytes, variants_for
from tonnage.load.line import MIB, LoadLine, Place, Point, Usage
from tonnage.load.searching import Ending
from tonnage.load.throughput import USABLE, Sample, Throughput


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Bytes beside the index: a fixed part and one per item, neither negative.

    Attributes:
        fixed: bytes.
        per_item: bytes.
        sizes: how many different catalogues it was fitted to; of one nothing is known about others.
    """

    fixed: float
    per_item: float
    sizes: int

    @classmethod
    def fit(cls, items: Sequence[int], rest: Sequence[float]) -> "Linear":
        """Least squares of the shares by which it is off."""
        weights = 1 / np.maximum(np.array(rest, float), 1.0)
        columns = np.column_stack([np.ones(len(items)), np.array(items, float)]) * weights[:, None]
        scale = np.abs(columns).max(axis=0)
        (fixed, per_item), _ = nnls(columns / scale, np.ones(len(items)))
        return cls(fixed=float(fixed / scale[0]), per_item=float(per_item / scale[1]), sizes=len(set(items)))

    def at(self, items: int) -> float:
        """Bytes at a size of catalogue."""
        return self.fixed + self.per_item * items


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Throughput and memory of a service, fitted to load lines of one machine and one objective."""

    throughput: Throughput
    needed: Linear
    """Of the limit's usable share, beside the index."""

    held: Linear | None
    """Of the working set at the highest rate, beside the index; None where it was not measured."""

    lines: tuple[LoadLine, ...]

    @classmethod
    def fit(cls, lines: Sequence[LoadLine]) -> "Model":
        """Fit to measured points; predicted ones are left out.

        Raises:
            LoadError: nothing was measured, or the lines are not of one machine and one objective.
        """
        if len({(each.machine, each.objective) for each in lines}) > 1:
            raise LoadError(
                "the load lines are of different machines or objectives, so no one model fits them",
                hint="Give lines that were measured alike.",
            )
        samples = [sample for line in lines for sample in _samples(line)]
        points = [
            (line.items, point) for line in lines for point in line.points if point.source == "measured"
        ]
        throughput = Throughput.fit(samples)
        places = [(items, point.place) for items, point in points]
        held = [
            (items, point.memory_bytes - point.place.resident_bytes)
            for items, point in points
            if point.memory_bytes is not None and point.memory_bytes > point.place.resident_bytes
        ]
        return cls(
            throughput=throughput,
            needed=Linear.fit(
                [items for items, _ in places],
                [USABLE * each.needed_bytes - each.resident_bytes for _, each in places],
            ),
            held=Linear.fit(*zip(*held, strict=True)) if held else None,
            lines=tuple(lines),
        )

    def point(self, place: Place, *, items: int, dimensions: int) -> Point:
        """What a place would carry.

        Raises:
            LoadError: no point of that kind of search was measured.
        """
        objective = self.lines[0].objective
        asked = Sample(place=place, items=items, dimensions=dimensions, objective=objective)
        rate, low, high = self.throughput.predict(asked)
        held = None if self.held is None else int(self.held.at(items) + place.resident_bytes)
        return Point(
            place=place,
            source="predicted",
            ending=Ending.FOUND,
            highest_rate=rate,
            low=low,
            high=high,
            memory_bytes=held,
            usage=self._usage(asked, rate),
        )

    def _usage(self, asked: Sample, rate: float) -> dict[str, Usage]:
        """What each bento would use: per request what it used at the place most like this."""
        known = [
            (sample, point, line.bento)
            for line in self.lines
            for sample, point in zip(_samples(line), _found(line), strict=True)
            if point.usage and point.highest_rate
        ]
        if not known:
            return {}
        nearest, point, walked = min(
            known,
            key=lambda each: (
                abs(math.log(each[0].looked_at / asked.looked_at)) + (each[0].search != asked.search)
            ),
        )
        more = self.throughput.service_s(asked) - self.throughput.service_s(nearest)
        return {
            bento: used.model_copy(
                update={
                    "cpu_cores": rate
                    * max(0.0, used.cpu_cores / nearest.rate + (more if bento == walked else 0.0))
                }
            )
            for bento, used in point.usage.items()
        }

    def place(self, variant: str, limit: int, *, items: int, dimensions: int) -> Place:
        """A variant of a catalogue that does not exist, with the memory that it would need.

        Its recall is that of the largest catalogue measured, 0 where the variant was in none.
        """
        resident = predict_bytes(variant, items, dimensions)
        largest_first = sorted(self.lines, key=lambda each: -each.items)
        known = [point.place for line in largest_first for point in line.points]
        recalls = [each.recall_at_100 for each in known if each.precision == variant]
        return Place(
            memory_limit_bytes=limit,
            cpu_cores=max(each.cpu_cores for each in known),
            precision=variant,
            resident_bytes=resident,
            needed_bytes=math.ceil((self.needed.at(items) + resident) / USABLE),
            recall_at_100=recalls[0] if recalls else 0.0,
        )

    def line(self, *, items: int, dimensions: int, limits: Sequence[int] = ()) -> LoadLine:
        """The line of a catalogue that was not measured: every variant that reaches the recall floor.

        Args:
            items: of the catalogue.
            dimensions: of its vectors.
            limits: bytes; without any, for each variant what it needs.

        Raises:
            LoadError: no point of that kind of search was measured, or nothing would fit the limits.
        """
        floor = self.lines[0].recall_floor
        points = []
        for variant in variants_for(items):
            self.throughput.require(variant)
            needed = self.place(variant, 1, items=items, dimensions=dimensions).needed_bytes
            for limit in limits or (-(-needed // MIB) * MIB,):
                place = self.place(variant, limit, items=items, dimensions=dimensions)
                if needed <= limit and place.recall_at_100 >= floor:
                    points.append(self.point(place, items=items, dimensions=dimensions))
        if not points:
            raise LoadError(
                "no index that was measured would fit the limits", hint="Give larger limits.", items=items
            )
        return self.lines[0].model_copy(
            update={
                "items": items,
                "dimensions": dimensions,
                "release": "none (predicted)",
                "points": tuple(points),
            }
        )


def _found(line: LoadLine) -> list[Point]:
    return [each for each in line.points if each.source == "measured" and each.highest_rate is not None]


def _samples(line: LoadLine) -> list[Sample]:
    return [
        Sample(
            place=each.place,
            items=line.items,
            dimensions=line.dimensions,
            objective=line.objective,
            rate=each.highest_rate or math.nan,
        )
        for each in _found(line)
    ]
