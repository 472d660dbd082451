"""Four times what a service sustains: what it answers then, how much is good, how soon it recovers."""

from collections.abc import Sequence
from dataclasses import dataclass

from measures import Measure, at_least, at_most
from openloop import Answer, Phase, Seen, Target, run
from tonnage.telemetry import Progress

TIMES = 4.0
"""Overload, in sustained rates."""

BEFORE_S, AFTER_S = 5.0, 12.0

GROWTH = 1.5
HALVINGS = 3
BEYOND = (1.5, 2.0)
"""Multiples of the sustained rate at which the peak is looked for too."""

LEAST, MOST = 1.0, 20_000.0
"""Requests per second that the staircase stays within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """When a rate counts as sustained.

    Attributes:
        share: of the requests that must be answered with 200 and no fallback.
        p99_s: seconds that 99 of 100 answers must stay within.
    """

    share: float = 0.99
    p99_s: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Stairs:
    """What the staircase found, in requests per second.

    Attributes:
        sustained: the highest rate that met the objective.
        peak: most that were answered well in one second of any step, on average over the step.
    """

    sustained: float
    peak: float


def climb(target: Target, objective: Objective, *, first: float, step_s: float, progress: Progress) -> Stairs:
    """Raise the rate until the objective is missed, then halve the last step a few times.

    A rate counts as missed when it was missed twice: once may have been the machine.
    """
    peak, low, high = 0.0, 0.0, None
    rate, narrowed, again = first, 0, False
    run(target, [Phase(first / 2, step_s)])
    while narrowed < HALVINGS and LEAST <= rate <= MOST:
        seen = run(target, [Phase(rate, step_s)])
        good, p99 = seen.whole() / step_s, seen.quantile(0.99) * 1e3
        progress.say(f"{rate:7.1f} req/s: {good:7.1f} good, p99 {p99:6.1f} ms, {seen.statuses()}")
        peak = max(peak, good)
        met = meets(seen, objective)
        if not met and not again:
            again = True
            continue
        again = False
        low, high = (rate, high) if met else (low, rate)
        narrowed += low > 0 and high is not None
        rate = next_rate(low, high)
    # A service that answers several requests at once may do best past what it sustains in time.
    for more in BEYOND:
        peak = max(peak, run(target, [Phase(more * low, step_s)]).whole() / step_s) if low else peak
    return Stairs(sustained=low, peak=peak)


def next_rate(low: float, high: float | None) -> float:
    """The rate to try next: up while all goes well, down until something does, then in between. Pure.

    Args:
        low: the highest rate that met the objective, 0 before there is one.
        high: the lowest rate that did not, None before there is one.
    """
    if high is None:
        return low * GROWTH
    return (low + high) / 2 if low else high / 2


def meets(seen: Seen, objective: Objective) -> bool:
    """Whether a run met the objective. Pure."""
    return seen.share() >= objective.share and seen.quantile(0.99) <= objective.p99_s


def measure(
    name: str,
    target: Target,
    *,
    first: float,
    seconds: float = 60.0,
    step_s: float = 4.0,
    objective: Objective | None = None,
    progress: Progress,
) -> list[Measure]:
    """Find what a service sustains, overload it, and judge.

    Args:
        name: of the service.
        target: how it is asked.
        first: first rate of the staircase, requests per second.
        seconds: of overload.
        step_s: seconds of each step of the staircase.
        objective: of the staircase and of the recovery.
        progress: is told what was seen.
    """
    objective = objective or Objective()
    stairs = climb(target, objective, first=first, step_s=step_s, progress=progress)
    if not stairs.sustained:
        why = f"nothing is sustained; peak {stairs.peak:.0f} requests/s"
        return [Measure(name=f"{name}: overload", target="measured", measured=why, holds=False)]
    normal = stairs.sustained / 2
    phases = [
        Phase(normal, BEFORE_S),
        Phase(TIMES * stairs.sustained, seconds),
        Phase(normal, AFTER_S),
    ]
    seen = run(target, phases)
    progress.say(
        f"sustained {stairs.sustained:.0f}, peak {stairs.peak:.0f}, under overload {seen.statuses()}"
    )
    return judged(name, stairs, seen, objective, seconds=seconds)


def judged(name: str, stairs: Stairs, seen: Seen, objective: Objective, *, seconds: float) -> list[Measure]:
    """What was promised of overload beside what was seen. Pure.

    Args:
        name: of the service.
        stairs: what it sustains.
        seen: `BEFORE_S` of normal load, `seconds` of overload, `AFTER_S` of normal load.
        objective: what counts as recovered.
        seconds: of overload.
    """
    end = BEFORE_S + seconds
    flood = seen.between(BEFORE_S, end)
    wrong = [each for each in seen.answers if not each.allowed]
    share = flood.whole() / seconds / stairs.peak
    fallbacks = flood.statuses().get(200, 0) - flood.whole()
    load = f"{name}, {TIMES:g} x {stairs.sustained:.0f} requests/s for {seconds:.0f} s"
    return [
        at_most(f"{load}: answers other than 200 and 503 with Retry-After", 0, len(wrong), told(wrong)),
        at_least(
            f"{load}: goodput without {fallbacks} fallbacks, of a peak of {stairs.peak:.0f}/s", 0.8, share
        ),
        at_most(f"{load}: recovery", 5, recovery(seen, end, objective), "s"),
    ]


def told(wrong: Sequence[Answer]) -> str:
    """What the answers were that should not have been, in words; nothing if there are none. Pure."""
    return ", ".join(
        f"{count} of status {status}" for status, count in sorted(Seen(wrong).statuses().items())
    )


def recovery(seen: Seen, end: float, objective: Objective) -> float:
    """Seconds from the end of the overload to the last answer that was not good and in time. Pure."""
    after = [each for each in seen.answers if each.due >= end]
    late = [each.due + each.took - end for each in after if not each.whole or each.took > objective.p99_s]
    if not after or len(late) == len(after):
        return float("inf")
    return max(late, default=0.0)
