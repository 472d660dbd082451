"""How many pods of what size carry a rate, at the least price: decided from a load line. Pure.

A point of the line says what one pod of each bento carried together, and what each used. So the busiest bento
carries the point's rate per pod. Another one could do more: it is loaded until its pod uses `QUIETER` of the
CPU that the busiest one's pod was seen to use, which is a prediction. With a headroom h, pods are planned to
carry 1 / (1 + h) of that, and the autoscaler is told the CPU that a pod uses then: at the planned rate it
wants the planned number, above it more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tonnage.errors import LoadError
from tonnage.load.line import MIB, LoadLine, Objective, Point, Usage
from tonnage.settings import Section

GIB = 2**30

QUIETER = 0.7
"""Share of the busiest pod's CPU to which other bentos' pods are loaded: all share one latency objective."""

MARGIN = 1.1
"""Memory requested, as a multiple of what was seen."""

ROOM = 2.0
"""Memory limit, as a multiple of what was seen, of a bento that had none."""


class Demand(Section):
    """What is to be carried, and what it may cost."""

    rate: float = Field(gt=0, allow_inf_nan=False)
    """Requests per second."""

    headroom: float = Field(0.3, ge=0, le=10, allow_inf_nan=False)
    """Share above the rate that the planned pods carry too."""

    peak: float = Field(2.0, ge=1, le=100, allow_inf_nan=False)
    """Times the rate to which the autoscalers may follow, with the same headroom."""

    cpu_price: float = Field(0.03, ge=0, allow_inf_nan=False)
    """Of one core for an hour."""

    gib_price: float = Field(0.004, ge=0, allow_inf_nan=False)
    """Of one GiB of memory for an hour."""

    most_pods: int = Field(100, ge=1)
    """Pods of one bento at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The pods of one bento.

    Attributes:
        bento: its name.
        carries: requests per second and pod.
        source: of `carries`.
        pods: that the rate needs with its headroom.
        most: that the peak needs.
        cpu_cores: requested per pod, and the autoscaler's target.
        memory_bytes: requested per pod.
        limit_bytes: of a pod.
        price: of all pods for an hour.
    """

    bento: str
    carries: float
    source: Literal["measured", "predicted"]
    pods: int
    most: int
    cpu_cores: float
    memory_bytes: int
    limit_bytes: int
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One point of the line, as a plan.

    Attributes:
        point: of the line.
        sizes: by bento; () where it is not possible.
        price: of everything for an hour; infinite where it is not possible.
        says: why it is taken or not.
    """

    point: Point
    sizes: tuple[Size, ...] = ()
    price: float = math.inf
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """What carries a rate.

    Attributes:
        demand: what was asked for.
        floor: recall@100 that the index reaches.
        objective: what the line holds.
        chosen: the cheapest option.
        options: every point of the line, the chosen one included, the cheapest first.
        pinned: the variant must be named to the retriever, since a more exact one would fit its limit too.
    """

    demand: Demand
    floor: float
    objective: Objective
    chosen: Option
    options: tuple[Option, ...]
    pinned: bool


def plan(line: LoadLine, demand: Demand, *, floor: float | None = None) -> CapacityPlan:
    """The cheapest pods that carry a rate with an index that finds enough.

    Of equal prices, the more exact index and then the smaller limit.

    Args:
        line: measured, predicted, or both.
        demand: what is to be carried.
        floor: recall@100; by default the line's.

    Raises:
        LoadError: it is not possible; one sentence says what would do.
    """
    wanted = line.recall_floor if floor is None else floor
    weighed = [_weigh(point, line.bento, demand, wanted) for point in line.points]
    ordered = sorted(weighed, key=_cheapest)
    if not ordered or math.isinf(ordered[0].price):
        raise LoadError(_infeasible(line, demand, wanted, weighed))
    chosen, *others = ordered
    said = Option(point=chosen.point, sizes=chosen.sizes, price=chosen.price, says="the cheapest")
    rest = [_compared(each, chosen) for each in others]
    return CapacityPlan(
        demand=demand,
        floor=wanted,
        objective=line.objective,
        chosen=said,
        options=(said, *rest),
        pinned=_pinned(line, chosen.point),
    )


def _cheapest(option: Option) -> tuple[float, float, int]:
    place = option.point.place
    return (round(option.price, 9), -place.recall_at_100, place.memory_limit_bytes)


def _weigh(point: Point, walked: str, demand: Demand, floor: float) -> Option:
    place = point.place
    if place.recall_at_100 < floor:
        says = f"finds {place.recall_at_100:.1%} of the exact top 100, and {floor:.1%} is the floor"
        return Option(point=point, says=says)
    if point.highest_rate is None:
        return Option(point=point, says="no rate held the objective")
    if not point.usage or walked not in point.usage:
        return Option(point=point, says="nobody saw what the pods used")
    sizes = _sizes(point, point.highest_rate, walked, demand)
    most = max(sizes, key=lambda each: each.pods)
    if most.pods > demand.most_pods:
        return Option(
            point=point, says=f"needs {most.pods} pods of {most.bento}, and {demand.most_pods} are allowed"
        )
    return Option(point=point, sizes=sizes, price=sum(each.price for each in sizes))


def _sizes(point: Point, rate: float, walked: str, demand: Demand) -> tuple[Size, ...]:
    per_pod = {bento: used.cpu_cores / used.pods for bento, used in point.usage.items()}
    busiest = max(per_pod.values())
    return tuple(
        _size(point, bento, used, demand, walked=bento == walked, carries=rate / used.pods * factor)
        for bento, used in point.usage.items()
        for factor in (_factor(per_pod[bento], busiest),)
    )


def _factor(own: float, busiest: float) -> float:
    """How much more than it was seen to carry a pod is given; 1 for the busiest."""
    return max(1.0, QUIETER * busiest / own) if own > 0 else 1.0


def _size(point: Point, bento: str, used: Usage, demand: Demand, *, walked: bool, carries: float) -> Size:
    seen = (point.highest_rate or 0.0) / used.pods
    wanted = demand.rate * (1 + demand.headroom)
    pods = math.ceil(wanted / carries - 1e-9)
    # Of a pod that carries what it is planned to.
    cores = used.cpu_cores / used.pods / seen * carries / (1 + demand.headroom)
    cpu = max(0.01, math.ceil(cores * 1000) / 1000)
    limit = point.place.memory_limit_bytes if walked else used.memory_limit_bytes
    limit = limit or math.ceil(ROOM * used.memory_bytes / MIB) * MIB
    # What a line was measured for is the limit: the walked pod gets all of it, whoever else is on its node.
    memory = limit if walked else min(limit, math.ceil(MARGIN * used.memory_bytes / MIB) * MIB)
    measured = point.source == "measured" and math.isclose(carries, seen)
    return Size(
        bento=bento,
        carries=carries,
        source="measured" if measured else "predicted",
        pods=pods,
        most=max(pods, math.ceil(demand.peak * wanted / carries - 1e-9)),
        cpu_cores=cpu,
        memory_bytes=memory,
        limit_bytes=limit,
        price=pods * (cpu * demand.cpu_price + memory / GIB * demand.gib_price),
    )


def _compared(option: Option, chosen: Option) -> Option:
    if math.isinf(option.price):
        return option
    more = option.price / chosen.price - 1 if chosen.price > 0 else 0.0
    says = f"costs {more:.0%} more" if more > 0.005 else "costs the same"
    return Option(point=option.point, sizes=option.sizes, price=option.price, says=says)


def _pinned(line: LoadLine, point: Point) -> bool:
    place = point.place
    return any(
        other.place.recall_at_100 > place.recall_at_100
        and other.place.needed_bytes <= place.memory_limit_bytes
        for other in line.points
    )


def _infeasible(line: LoadLine, demand: Demand, floor: float, weighed: Sequence[Option]) -> str:
    if not weighed:
        return "the load line has no point yet; `tonnage load line` measures some"
    exact = max((each.point.place for each in weighed), key=lambda place: place.recall_at_100)
    if exact.recall_at_100 < floor:
        return (
            f"no index on this load line finds {floor:.1%} of the exact top 100: {exact.precision} finds"
            f" {exact.recall_at_100:.1%}, so lower the floor, or measure a larger memory limit, where a more"
            " exact index fits"
        )
    usable = [each for each in weighed if each.point.place.recall_at_100 >= floor]
    holding = [each.point for each in usable if each.point.highest_rate is not None]
    if not holding:
        return (
            f"no rate held {line.objective.name} ({_in_words(line.objective)}) with an index that finds"
            f" {floor:.1%}, so allow more time, give the pods more CPU, or take a smaller catalogue"
        )
    seen = [each for each in holding if line.bento in each.usage]
    if not seen:
        return (
            "the load line does not say what the pods used, so nothing can be sized: measure it where"
            " metrics-server answers"
        )
    best = [_sizes(each, each.highest_rate or 0.0, line.bento, demand) for each in seen]
    pods = min(max(size.pods for size in sizes) for sizes in best)
    carried = max(min(size.carries for size in sizes) for sizes in best)
    rate = demand.most_pods * carried / (1 + demand.headroom)
    return (
        f"{demand.rate:g} requests/s with {demand.headroom:.0%} headroom need {pods} pods of one bento, and"
        f" {demand.most_pods} are allowed: allow {pods}, or ask for {math.floor(rate):,} requests/s"
    )


def _in_words(objective: Objective) -> str:
    return f"{objective.quantile:.4g} of the requests within {objective.latency_ms:g} ms"
