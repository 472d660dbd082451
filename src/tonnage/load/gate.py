"""The gate: a run and an objective to one verdict. Pure.

What could not be measured is never good: a run that says nothing of the server, because those who asked were
too busy or asked too little, is an error whatever its figures are.
"""

from collections.abc import Iterator
from dataclasses import replace

from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.load import server_checks
from tonnage.load.estimates import Estimate
from tonnage.load.figures import Asked, asked, sampled
from tonnage.load.runs import Run
from tonnage.load.server_checks import at_most
from tonnage.load.slo import LoadGenerator, Slo


def judge(run: Run, slo: Slo) -> Verdict:
    """Judge one run: pass, fail, or an error that says what it lacks.

    Raises:
        LoadError: its tables cannot be read.
    """
    seen = asked(run, slo)
    fit = fitness(run, slo, seen)
    told = [*_latency(seen, slo), *_answers(seen, slo), *_rate(seen, slo)] if len(seen) else []
    if any(each.outcome is not Outcome.PASS for each in fit):
        # Neither a fail nor a pass: the figures are those of whoever asked, or of chance.
        told = [replace(each, outcome=Outcome.NOT_JUDGED) for each in told]
    return together([*fit, *told, *server_checks.judge(sampled(run, slo), run.facts, slo)])


def fitness(run: Run, slo: Slo, seen: Asked) -> list[Finding]:
    """Whether a run tells anything of the server: each finding is a pass or an error."""
    return [*_generator(run, slo.generator), *_enough(run, seen, slo)]


def _generator(run: Run, limits: LoadGenerator) -> Iterator[Finding]:
    generator = run.facts.generator
    mean, most = generator.cpu_share_mean, generator.cpu_share_max
    saturated = mean > limits.cpu_mean or most > limits.cpu_max
    says = (
        f"its busiest process used {mean:.0%} of a core, {most:.0%} at the most; no verdict above "
        f"{limits.cpu_mean:.0%}, or {limits.cpu_max:.0%} at the most"
    )
    if saturated:
        says = f"the generator was saturated: {says}; run it with more processes, or on another machine"
    yield Finding(check="generator", outcome=Outcome.ERROR if saturated else Outcome.PASS, reason=says)


def _enough(run: Run, seen: Asked, slo: Slo) -> Iterator[Finding]:
    def finding(check: str, enough: bool, says: str, remedy: str) -> Finding:
        reason = says if enough else f"{says}; {remedy}"
        return Finding(check=check, outcome=Outcome.PASS if enough else Outcome.ERROR, reason=reason)

    warm_up = f" after {slo.requests.warm_up_s:g} s of warm-up" if slo.requests.warm_up_s else ""
    says = f"{seen.seconds:.0f} s{warm_up}, at least {slo.requests.least_seconds:g} s"
    long_enough = seen.seconds >= slo.requests.least_seconds
    yield finding("length", long_enough, says, "the run was too short: run it longer")
    if run.facts.interrupted:
        says = "the run was interrupted: what was to come is not known; run it to its end"
        yield Finding(check="interrupted", outcome=Outcome.ERROR, reason=says)
    of = f" named {', '.join(slo.requests.names)}" if slo.requests.names else ""
    says = f"{len(seen):,}{of}, at least {slo.requests.least:,}"
    enough = len(seen) >= slo.requests.least
    yield finding("requests", enough, says, f"too few to tell: {_remedy(run, seen)}")


def _remedy(run: Run, seen: Asked) -> str:
    if len(seen) or not run.requests.num_rows:
        return "run it longer, or at a higher rate"
    return f"the run has requests named {', '.join(sorted(run.requests['name'].unique().to_pylist()))}"


def _latency(seen: Asked, slo: Slo) -> Iterator[Finding]:
    for name, limit in slo.latency.at_most_ms.items():
        if not seen.good.any():
            yield Finding(check=name, outcome=Outcome.ERROR, reason="there was no good answer to time")
            continue
        found = seen.quantile(name)
        figure = found.high if slo.latency.surely else found.value
        says = (
            f"{found.value:.4g} ms{_between(found, slo)} of {int(seen.good.sum()):,} good answers, "
            f"{'surely ' if slo.latency.surely else ''}at most {limit:g} ms"
        )
        yield Finding(check=name, outcome=at_most(figure, limit), reason=says)


def _between(found: Estimate, slo: Slo) -> str:
    ends = (
        f"{found.low:.4g} to {found.high:.4g} ms"
        if found.high != float("inf")
        else "too few to say how surely"
    )
    return f" ({ends} at {slo.latency.certainty:.0%})"


def _answers(seen: Asked, slo: Slo) -> Iterator[Finding]:
    for check, found, limit, count in (
        ("errors", seen.errors, slo.answers.errors, int((~seen.good & ~seen.refused).sum())),
        ("refused", seen.refusals, slo.answers.refused, int(seen.refused.sum())),
    ):
        says = (
            f"{found.value:.3%} ({count:,} of {len(seen):,}; {found.low:.3%} to {found.high:.3%} at "
            f"{slo.latency.certainty:.0%}), at most {limit:.3%}"
        )
        yield Finding(check=check, outcome=at_most(found.value, limit), reason=says)


def _rate(seen: Asked, slo: Slo) -> Iterator[Finding]:
    least = slo.requests.least_rate
    if least is not None:
        says = f"{seen.rate:.4g} good answers/s, at least {least:g}"
        yield Finding(check="rate", outcome=at_most(least, seen.rate), reason=says)
