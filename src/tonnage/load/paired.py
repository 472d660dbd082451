"""Runs compared with kept ones, pair by pair: is the new release slower, dearer or larger? Pure.

Two runs of one release on one machine differ: by what else ran, by where the memory came to lie. So several
runs of each are taken in turn, each beside its neighbour in time, which had the same weather; how much the
pairs differ among themselves is the noise that a regression must exceed (Student's t). Kalibera and Jones,
"Rigorous benchmarking in reasonable time" (ISMM 2013): what is repeated must be what varies, the run.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, log

import numpy as np
from scipy.stats import t as student

from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.load.figures import asked, summary
from tonnage.load.gate import fitness
from tonnage.load.runs import Run
from tonnage.load.slo import Against, Slo, Times, Worse

MISSED = 0.05
"""Chance that a figure passes which is worse by what should be noticed."""

MOST_PAIRS = 100
"""More pairs than anybody takes."""

Pair = tuple[Run, Run]
"""A run, and the kept one beside it."""

Figures = Mapping[str, float]
"""Of one run, by name; see `figures.summary`."""


def compare(runs: Sequence[Run], kept: Sequence[Run], slo: Slo) -> Verdict:
    """Judge runs by kept ones: pass, fail, or an error that says why they cannot be compared.

    Args:
        runs: of the release on trial.
        kept: earlier ones, or ones of the release to compare with.
        slo: which requests count, and how much worse is a regression.

    Raises:
        LoadError: their tables cannot be read.
    """
    problems = [*_not_alike([*runs, *kept]), *_unfit([*runs, *kept], slo)]
    pairs: list[Pair] = []
    try:
        pairs = paired(runs, kept, in_turn=slo.against.in_turn)
    except ValueError as error:
        problems.append(str(error))
    if not problems and len(pairs) < slo.against.least_pairs:
        problems.append(f"pairs of runs: {len(pairs)}, at least {slo.against.least_pairs}; take more in turn")
    if problems:
        return together([Finding(check="pairs", outcome=Outcome.ERROR, reason=each) for each in problems])
    return judge([(summary(run, slo), summary(other, slo)) for run, other in pairs], slo)


def paired(runs: Sequence[Run], kept: Sequence[Run], *, in_turn: bool) -> list[Pair]:
    """Put each run beside a kept one.

    Args:
        runs: of the release on trial.
        kept: to compare with.
        in_turn: only neighbours in time are a pair; else the first with the first, and so on.

    Raises:
        ValueError: they are no pairs; the message says why.
    """
    if len(runs) != len(kept):
        raise ValueError(f"{len(runs)} runs and {len(kept)} kept ones make no pairs: take as many of each")
    new, old = (sorted(each, key=lambda run: run.facts.started) for each in (runs, kept))
    if not in_turn:
        return list(zip(new, old, strict=True))
    mine = {id(run) for run in new}
    ordered = sorted([*new, *old], key=lambda run: run.facts.started)
    couples = list(zip(ordered[::2], ordered[1::2], strict=True))
    if any((id(one) in mine) == (id(other) in mine) for one, other in couples):
        says = "runs and kept ones were not taken in turn, so what changed on the machine between them would"
        raise ValueError(f"{says} count; take them in turn, or set [against] in_turn = false")
    return [(one, other) if id(one) in mine else (other, one) for one, other in couples]


def judge(pairs: Sequence[tuple[Figures, Figures]], slo: Slo) -> Verdict:
    """Judge pairs by their figures; at least two.

    Args:
        pairs: the run's, and the kept one's.
        slo: how much worse is a regression.
    """
    limits = _limits(slo)
    return together(
        [_finding(name, pairs, worse, slo.against, len(limits)) for name, worse in limits.items()]
    )


def _limits(slo: Slo) -> dict[str, Worse]:
    against = slo.against
    quantiles = {f"{name}_ms": against.latency for name in slo.latency.at_most_ms}
    more: dict[str, Worse] = {"cpu_ms_per_answer": against.cpu, "memory_peak": against.memory}
    return {**quantiles, **more, "bad_answers": against.bad_answers}


def _finding(
    name: str, pairs: Sequence[tuple[Figures, Figures]], worse: Worse, against: Against, figures: int
) -> Finding:
    values = [(_value(name, run), _value(name, kept)) for run, kept in pairs]
    known = [(run, kept) for run, kept in values if run is not None and kept is not None]
    if len(known) < len(values):
        # Latency and bad answers are of every run; what pods do is compared where somebody looked.
        outcome = Outcome.NOT_JUDGED if name in {"cpu_ms_per_answer", "memory_peak"} else Outcome.ERROR
        says = f"known of {len(known)} of {len(values)} pairs only"
        return Finding(check=name, outcome=outcome, reason=says)
    if not isinstance(worse, Times):
        return _decide(name, [run - kept for run, kept in known], worse, against, figures)
    if any(value <= 0 for pair in known for value in pair):
        return Finding(check=name, outcome=Outcome.ERROR, reason="a figure is 0: nothing was measured")
    return _decide(name, [log(run / kept) for run, kept in known], worse, against, figures)


def _value(name: str, figures: Figures) -> float | None:
    if name == "bad_answers":
        return figures["errors"] + figures["refused"] if "errors" in figures else None
    return figures.get(name)


def _decide(name: str, differences: Sequence[float], worse: Worse, against: Against, figures: int) -> Finding:
    """One figure's differences, in logarithms where it is compared as a ratio."""
    times = isinstance(worse, Times)
    tolerated, noticed = (log(each) if times else each for each in (worse.tolerated, worse.noticed))
    n, mean, spread = len(differences), float(np.mean(differences)), float(np.std(differences, ddof=1))
    error = spread / n**0.5
    low = mean - float(student.ppf(1 - against.false_alarms / figures, n - 1)) * error
    high = mean + float(student.ppf(1 - MISSED, n - 1)) * error
    says = (
        f"{_said(mean, times=times)} ({_said(low, times=times)} to {_said(high, times=times)} in {n} pairs)"
    )
    if low > tolerated:
        reason = f"{says}; surely worse than {_said(tolerated, times=times)}"
        return Finding(check=name, outcome=Outcome.FAIL, reason=reason)
    if high <= noticed:
        reason = f"{says}; not surely worse than {_said(tolerated, times=times)}"
        return Finding(check=name, outcome=Outcome.PASS, reason=reason)
    more = _enough(mean, spread, noticed, n)
    remedy = f"about {more} pairs would tell" if more else "more pairs on a calmer machine would tell"
    reason = f"{says}; the pairs differ too much to notice {_said(noticed, times=times)}: {remedy}"
    return Finding(check=name, outcome=Outcome.ERROR, reason=reason)


def _enough(mean: float, spread: float, noticed: float, n: int) -> int | None:
    """About how many pairs would notice, if they went on like these; None when too many."""
    for pairs in range(n + 1, MOST_PAIRS + 1):
        if mean + float(student.ppf(1 - MISSED, pairs - 1)) * spread / pairs**0.5 <= noticed:
            return pairs
    return None


def _said(difference: float, *, times: bool) -> str:
    return f"{exp(difference):.3g} times" if times else f"{100 * difference:+.3g} points"


def _not_alike(runs: Sequence[Run]) -> Iterator[str]:
    for what in ("shape", "users"):
        said = sorted({str(getattr(run.facts, what)) for run in runs})
        if len(said) > 1:
            yield f"the runs are not of the same load: {what} {', '.join(said)}"
    folders = [run.folder.resolve() for run in runs]
    if len(set(folders)) < len(folders):
        yield "a run is compared with itself"


def _unfit(runs: Sequence[Run], slo: Slo) -> Iterator[str]:
    for run in runs:
        for each in fitness(run, slo, asked(run, slo)):
            if each.outcome is not Outcome.PASS:
                yield f"{run.facts.name}: {each.reason}"
