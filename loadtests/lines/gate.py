"""`tonnage load gate` on real runs: releases that are bad, each in its own way, and one that is as good."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lines.equal import alternating, judged
from lines.faults import EXCEEDS, LEAKS, SLOW
from lines.scene import WORK, Gated, Made, Stall, gate
from measures import ROOT, Measure

HERE = Path(__file__).parent
SHORT, SOAK = HERE / "short.toml", HERE / "soak.toml"
BUSY = HERE / "busy.py"
USUAL = ROOT / "loadtests" / "slo" / "retriever.toml"

SCANS = {"retriever": {"env": {"TONNAGE_INDEX": "exact-f32"}}}
"""Most of an answer's time is then the search."""

LIMITED = {"retriever": {"resources": {"limits": {"memory": "224Mi"}}}}
"""Somewhat more than the memory plan of the release asks for."""

RATE = 60
"""Requests per second: about a fifth of what the retriever carries."""

FAIL, ERROR = 1, 3
"""Exit codes of the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long runs are, seconds, and how many of them.

    Attributes:
        short: one of a pair.
        soak: to see a leak.
        filling: until a release has outgrown its limit.
        pairs: of an equal release and the kept one.
        slow_pairs: of a slow release and the kept one.
    """

    short: float = 10.0
    soak: float = 165.0
    filling: float = 30.0
    pairs: int = 24
    slow_pairs: int = 5


QUICK = Size(soak=40.0, pairs=6, slow_pairs=3)


def parts(
    kept: Stall, new: Stall, made: Made, size: Size
) -> Iterator[tuple[str, Callable[[], Iterable[Measure]]]]:
    """Every promise of the gate: its name, and how it is measured. In this order.

    Args:
        kept: the shop whose runs are kept.
        new: another one, in which releases are on trial.
        made: a release; good, unless it is spoiled.
        size: of the runs.
    """
    kept.serve(made, SCANS)
    yield "an equal release", lambda: _equal(kept, new, made, size)
    yield "a release that is twice as slow", lambda: _slow(kept, new, made, size)
    yield "a release that leaks memory slowly", lambda: _leaks(new, made, size)
    yield "a release whose index outgrows the limit", lambda: _exceeds(new, made, size)
    yield "runs that tell nothing", lambda: _telling_nothing(kept, made)


def _equal(kept: Stall, new: Stall, made: Made, size: Size) -> Iterator[Measure]:
    new.serve(made, SCANS)
    pairs = alternating(kept, new, made, WORK / "runs" / "equal", size.pairs, rate=RATE, seconds=size.short)
    yield from judged(pairs, SHORT, rate=RATE, seconds=size.short)


def _slow(kept: Stall, new: Stall, made: Made, size: Size) -> Iterator[Measure]:
    new.serve(made, {**SCANS, **_also(new, SLOW)})
    pairs = alternating(
        kept, new, made, WORK / "runs" / "slow", size.slow_pairs, rate=RATE, seconds=size.short
    )
    found = gate([run for run, _ in pairs], SHORT, against=[run for _, run in pairs])
    what = f"a release that is twice as slow, {len(pairs)} pairs of runs with kept ones"
    yield _found(what, found, "p50_ms|p99_ms")


def _leaks(new: Stall, made: Made, size: Size) -> Iterator[Measure]:
    new.serve(made, {**SCANS, **_also(new, LEAKS)})
    run = new.run(made, WORK / "runs" / "leak", rate=RATE, seconds=size.soak)
    yield _found(f"a release that leaks memory slowly, a soak of {size.soak:g} s", gate([run], SOAK), "leak")


def _exceeds(new: Stall, made: Made, size: Size) -> Iterator[Measure]:
    retriever = {**_also(new, EXCEEDS)["retriever"], **LIMITED["retriever"]}
    new.serve(made, {"retriever": retriever})
    run = new.run(made, WORK / "runs" / "exceeds", rate=RATE, seconds=size.filling)
    what = f"a release whose index outgrows the memory limit, {size.filling:g} s of load"
    yield _found(what, gate([run], SHORT), "memory|OOMKills")


def _also(stall: Stall, code: str) -> dict[str, dict[str, object]]:
    spoiled = stall.spoil(code)["retriever"]
    return {"retriever": {**spoiled, "env": {**spoiled["env"], **SCANS["retriever"]["env"]}}}


def _found(name: str, found: Gated, check: str) -> Measure:
    """Whether a release was failed for the right reason."""
    right = [why for each, why in found.failed.items() if re.fullmatch(check, each)]
    return Measure(
        name=f"{name}: failed by the gate",
        target=f"exit code {FAIL}, a reason that names {check.replace('|', ' or ')}",
        measured=found.says[:600],
        holds=found.code == FAIL and bool(right),
    )


def _telling_nothing(kept: Stall, made: Made) -> Iterator[Measure]:
    short = kept.run(made, WORK / "runs" / "too-short", rate=RATE, seconds=5)
    yield _refused("a run that was too short", gate([short], USUAL), "length")
    asked = kept.run(
        made, WORK / "runs" / "saturated", rate=400, seconds=15, who="Calculating", locustfile=BUSY
    )
    generator = asked.facts.generator
    yield _refused(
        f"a run whose generator was saturated ({generator.cpu_share_mean:.0%} of a core, "
        f"{generator.cpu_share_max:.0%} at the most)",
        gate([asked], SHORT),
        "generator",
    )


def _refused(name: str, found: Gated, check: str) -> Measure:
    """Whether there was no verdict, and why."""
    return Measure(
        name=f"{name}: no verdict",
        target=f"exit code {ERROR}, a reason that names the {check}",
        measured=found.says[:600],
        holds=found.code == ERROR and check in found.errors,
    )
