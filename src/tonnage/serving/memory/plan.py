"""The memory plan: which index a pod serves within its limit. A pure decision; `start` makes it.

A table that is mapped from a file and does not fit is not killed but read again and again, so the plan
counts the whole working set of an index as resident, and takes the most exact index that fits beside
everything else. It never takes one below the recall floor: it refuses instead, and says what would do.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from tonnage.errors import TonnageError
from tonnage.index import RECALL_FLOOR
from tonnage.serving.admission.admission import MEMORY_WATERMARK
from tonnage.serving.memory.quantity import MIB, in_mib, whole_mib


class MemoryLimitError(TonnageError):
    """No index of the release fits the memory limit."""

    exit_code = 9


class MeasuredVariant(Protocol):
    """One way to store and search the item vectors, as the manifest records it."""

    @property
    def name(self) -> str:
        """Search and precision, such as `hnsw-f16`."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Memory that it keeps resident, once for all workers."""
        ...

    @property
    def recall_at_100(self) -> float:
        """Share of the exact top 100 that it finds."""
        ...

    @property
    def recall_at_500(self) -> float:
        """Share of the exact top 500 that it finds."""
        ...


class Verdict(StrEnum):
    """What became of a variant."""

    CHOSEN = "chosen"
    FITS = "fits"
    TOO_LARGE = "too-large"
    BELOW_FLOOR = "below-floor"
    NOT_ASKED_FOR = "not-asked-for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Memory that is taken whatever index is served.

    Attributes:
        name: of a small fixed set; labels a metric.
        bytes: how much.
        says: where the figure comes from.
    """

    name: str
    bytes: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One variant in the plan.

    Attributes:
        name: of the variant.
        resident_bytes: of one copy.
        swap_bytes: of the second copy that hot swap needs for a while; 0 without hot swap.
        needed_bytes: the limit that it would need, with everything else and what lies above the watermark.
        recall_at_100: as the manifest records it.
        recall_at_500: as the manifest records it.
        verdict: what became of it.
    """

    name: str
    resident_bytes: int
    swap_bytes: int
    needed_bytes: int
    recall_at_100: float
    recall_at_500: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a pod's memory is for.

    Attributes:
        limit: bytes; None where there is none.
        floor: recall@100 that every index served must reach.
        terms: what is taken before the first vector.
        choices: every variant of the release, from the most exact to the least.
        smallest_limit: bytes of the least limit that would do, in whole MiB.
    """

    limit: int | None
    floor: float
    terms: tuple[Term, ...]
    choices: tuple[Choice, ...]
    smallest_limit: int

    @property
    def chosen(self) -> Choice:
        """The variant to serve."""
        return next(each for each in self.choices if each.verdict is Verdict.CHOSEN)

    @property
    def planned_bytes(self) -> int:
        """What the pod holds when everything that is planned for happens at once."""
        chosen = self.chosen
        return sum(each.bytes for each in self.terms) + chosen.resident_bytes + chosen.swap_bytes

    def as_json(self) -> dict[str, Any]:
        """The plan in JSON's types."""
        return {
            "limit_bytes": self.limit,
            "planned_bytes": self.planned_bytes,
            "smallest_limit_bytes": self.smallest_limit,
            "recall_floor": self.floor,
            "terms": [asdict(each) for each in self.terms],
            "chosen": self.chosen.name,
            "indexes": [asdict(each) for each in self.choices],
        }


def plan(
    *,
    limit: int | None,
    terms: Sequence[Term],
    variants: Sequence[MeasuredVariant],
    floor: float = RECALL_FLOOR,
    hot_swap: bool = False,
    only: str | None = None,
) -> Plan:
    """Choose the most exact variant that fits; without a limit, the most exact.

    Args:
        limit: bytes that all processes may use together; None for no limit.
        terms: what is taken before the first vector.
        variants: of the release, from the most exact to the least.
        floor: recall@100 that a variant must reach to be served.
        hot_swap: keep room for a second copy of the index.
        only: the one variant that is asked for; all if None.

    Raises:
        MemoryLimitError: none fits; in one sentence the limit, what each needs, and the least that would do.
    """
    fixed = sum(each.bytes for each in terms)
    weighed = [_weigh(each, fixed, limit, floor, hot_swap=hot_swap, only=only) for each in variants]
    usable = [each for each in weighed if each.verdict in {Verdict.FITS, Verdict.TOO_LARGE}]
    if not usable:
        raise MemoryLimitError(_nothing_usable(weighed, floor, only))
    smallest = whole_mib(min(each.needed_bytes for each in usable)) * MIB
    fitting = [each for each in usable if each.verdict is Verdict.FITS]
    if not fitting:
        raise MemoryLimitError(_nothing_fits(weighed, fixed, limit, floor, smallest))
    best = fitting[0]
    choices = tuple(replace(each, verdict=Verdict.CHOSEN) if each is best else each for each in weighed)
    return Plan(limit=limit, floor=floor, terms=tuple(terms), choices=choices, smallest_limit=smallest)


def _weigh(
    variant: MeasuredVariant, fixed: int, limit: int | None, floor: float, *, hot_swap: bool, only: str | None
) -> Choice:
    swap = variant.resident_bytes if hot_swap else 0
    # Above the watermark nobody gets in, so what is planned for stays below it.
    needed = math.ceil((fixed + variant.resident_bytes + swap) / MEMORY_WATERMARK)
    if only is not None and variant.name != only:
        verdict = Verdict.NOT_ASKED_FOR
    elif variant.recall_at_100 < floor:
        verdict = Verdict.BELOW_FLOOR
    else:
        verdict = Verdict.FITS if limit is None or needed <= limit else Verdict.TOO_LARGE
    return Choice(
        name=variant.name,
        resident_bytes=variant.resident_bytes,
        swap_bytes=swap,
        needed_bytes=needed,
        recall_at_100=variant.recall_at_100,
        recall_at_500=variant.recall_at_500,
        verdict=verdict,
    )


def _nothing_fits(
    weighed: Sequence[Choice], fixed: int, limit: int | None, floor: float, smallest: int
) -> str:
    needs = ", ".join(
        f"{each.name} needs {in_mib(each.needed_bytes)}"
        for each in weighed
        if each.verdict is Verdict.TOO_LARGE
    )
    return (
        f"no index of this release fits the memory limit of {_limit_in_words(limit)}: "
        f"{in_mib(fixed)} are taken before the first vector, with them {needs}"
        f"{_below(weighed, floor)}; the smallest limit that would do is {in_mib(smallest)}"
    )


def _nothing_usable(weighed: Sequence[Choice], floor: float, only: str | None) -> str:
    if only is not None and all(each.verdict is Verdict.NOT_ASKED_FOR for each in weighed):
        known = ", ".join(each.name for each in weighed) or "none"
        return f"this release has no index {only}, it has {known}, so no memory limit would do"
    return f"no index of this release may be served{_below(weighed, floor)}, so no memory limit would do"


def _below(weighed: Sequence[Choice], floor: float) -> str:
    below = [
        f"{each.name} ({each.recall_at_100:.3f})" for each in weighed if each.verdict is Verdict.BELOW_FLOOR
    ]
    return f", and below the recall floor of {floor:g} is {', '.join(below)}" if below else ""


def _limit_in_words(limit: int | None) -> str:
    # Rounded down: a limit must not be told as more than it is.
    return "none" if limit is None else f"{limit // MIB}Mi" if limit >= MIB else f"{limit} bytes"
