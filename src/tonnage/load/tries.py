"""A judged run as a try of a load line. Pure."""

from typing import TYPE_CHECKING

import numpy as np

from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.load.figures import asked, cpu_cores
from tonnage.load.line import Try, Usage
from tonnage.load.runs import Run
from tonnage.load.slo import Slo

if TYPE_CHECKING:
    import pandas as pd

KEPT_UP = 0.95
"""Share of the requests asked for that a pass must have sent."""

MOMENTS = 40
"""Of memory over time, that are kept of a try."""


def try_of(run: Run, verdict: Verdict, slo: Slo, *, rate: float, bento: str) -> Try:
    """What a run at a rate says.

    Args:
        run: whose pods were sampled, or not.
        verdict: of it.
        slo: by which it was judged.
        rate: requests per second that were asked for.
        bento: whose memory limit is walked.

    Raises:
        LoadError: its tables cannot be read.
    """
    seen = asked(run, slo)
    rows = None if run.server is None else run.server.to_pandas()
    walked = None if rows is None else rows[rows["bento"] == bento].dropna(subset=["memory_working_set"])
    outcome, reasons = _judged(run, verdict, slo, rate)
    return Try(
        at=run.facts.started,
        seconds=run.facts.seconds,
        rate=rate,
        outcome=outcome,
        reasons=reasons,
        achieved=seen.rate,
        latency_ms={name: seen.quantile(name).value for name in slo.latency.at_most_ms}
        if seen.good.any()
        else {},
        memory_bytes=None if walked is None or walked.empty else int(walked["memory_working_set"].max()),
        memory=() if walked is None else _over_time(walked),
        usage={} if rows is None else _usage(rows),
        generator_cpu=run.facts.generator.cpu_share_mean,
        run=run.folder.name,
    )


def _judged(run: Run, verdict: Verdict, slo: Slo, rate: float) -> tuple[Outcome, tuple[str, ...]]:
    """The verdict on this rate: fewer requests than that prove nothing of it, however good the answers."""
    if verdict.outcome is Outcome.FAIL:
        return Outcome.FAIL, tuple(verdict.reasons)
    if verdict.outcome is not Outcome.PASS:
        return Outcome.ERROR, tuple(verdict.reasons)
    seconds = run.facts.seconds - slo.requests.warm_up_s
    sent = int((run.requests["at_s"].to_numpy() >= slo.requests.warm_up_s).sum()) / seconds
    if sent >= KEPT_UP * rate:
        return Outcome.PASS, ()
    says = f"generator: it sent {sent:.4g} requests/s of {rate:g}; something else keeps its machine busy"
    return Outcome.ERROR, (says,)


def _over_time(rows: "pd.DataFrame") -> tuple[tuple[float, int], ...]:
    """The fullest pod at each of a few dozen moments."""
    largest = rows.groupby("at_s")["memory_working_set"].max()
    kept = np.unique(np.linspace(0, len(largest) - 1, min(MOMENTS, len(largest))).astype(int))
    at_s, sizes = largest.index.to_numpy(dtype=np.float64)[kept], largest.to_numpy()[kept]
    return tuple((round(float(at), 1), int(size)) for at, size in zip(at_s, sizes, strict=True))


def _usage(rows: "pd.DataFrame") -> dict[str, Usage]:
    """By bento; one of whose pods something is not known is left out."""
    found = {str(bento): _of_pods(of) for bento, of in rows.groupby("bento")}
    return {bento: usage for bento, usage in found.items() if usage is not None}


def _of_pods(rows: "pd.DataFrame") -> Usage | None:
    cpu = [cpu_cores(pod.sort_values("at_s")) for _, pod in rows.groupby("pod")]
    memory, limit = rows["memory_working_set"].max(), int(rows["memory_limit"].max())
    if any(each is None for each in cpu) or np.isnan(memory):
        return None
    return Usage(
        pods=len(cpu),
        cpu_cores=sum(each for each in cpu if each is not None),
        memory_bytes=int(memory),
        memory_limit_bytes=limit or None,
    )
