"""Runs of two releases in turn, and how often an equal one passes."""

from collections.abc import Sequence
from pathlib import Path

from lines.scene import Made, Stall
from measures import Measure
from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.load.gate import judge
from tonnage.load.paired import compare
from tonnage.load.runs import Run
from tonnage.load.slo import Slo

WINDOW = 5
"""Pairs of one comparison."""

PASSES = 0.95
"""19 of 20."""

Pair = tuple[Run, Run]


def alternating(
    kept: Stall, new: Stall, made: Made, folder: Path, count: int, *, rate: float, seconds: float
) -> list[Pair]:
    """Pairs of runs, of the new release and of the kept one; who is first changes from pair to pair."""
    pairs = []
    for number in range(count):
        where = {stall: folder / f"{number:02d}-{who}" for stall, who in ((new, "new"), (kept, "kept"))}
        order = (new, kept) if number % 2 == 0 else (kept, new)
        runs = {each: each.run(made, where[each], rate=rate, seconds=seconds) for each in order}
        pairs.append((runs[new], runs[kept]))
        kept.progress.say(f"pair {number + 1} of {count}")
    return pairs


def judged(pairs: Sequence[Pair], slo: Path, *, rate: float, seconds: float) -> list[Measure]:
    """How often the equal release passes: each of its runs alone, and beside the kept ones."""
    limits = Slo.open(slo)
    what = f"runs of {seconds:g} s at {rate:g} requests/s"
    alone = [judge(run, limits) for run, _ in pairs]
    beside = [
        compare([run for run, _ in some], [run for _, run in some], limits) for some in windows(pairs, WINDOW)
    ]
    return [
        passing(f"an equal release, {len(alone)} {what}, each by its limits", alone),
        passing(
            f"an equal release, {len(pairs)} pairs of {what}, in turn with kept ones, every {WINDOW} pairs in"
            " a row compared",
            beside,
        ),
    ]


def windows(pairs: Sequence[Pair], length: int) -> list[Sequence[Pair]]:
    """Every so many neighbours. Pure."""
    return [pairs[first : first + length] for first in range(len(pairs) - length + 1)]


def passing(name: str, verdicts: Sequence[Verdict]) -> Measure:
    """How many of the verdicts are passes, with the first reason of what is none."""
    passed = sum(each.outcome is Outcome.PASS for each in verdicts)
    others = [
        f"{each.outcome}: {'; '.join(each.reasons)}" for each in verdicts if each.outcome is not Outcome.PASS
    ]
    return Measure(
        name=f"{name}: passes",
        target=f">= {PASSES:.0%}",
        measured=f"{passed} of {len(verdicts)}" + (f" ({others[0][:300]})" if others else ""),
        holds=bool(verdicts) and passed >= PASSES * len(verdicts),
    )
