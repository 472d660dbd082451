"""The figures of a run that a verdict, a comparison and a report speak of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tonnage.load.estimates import Estimate, Floats, quantile, share
from tonnage.load.runs import Run
from tonnage.load.slo import Slo, level

if TYPE_CHECKING:
    import pandas as pd

REFUSED = 503

YOUNG_S = 30.0
"""A pod that was looked at for less may not have been measured yet: kubelets take their time."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The requests of a run that count.

    Args:
        at_s: when each began, float [requests].
        ms: how long each took, float [requests].
        good: whether it got a good answer, bool [requests].
        refused: whether it was refused with a 503, bool [requests].
        seconds: length of the run after its warm-up.
        certainty: of intervals.
    """

    at_s: Floats
    ms: Floats
    good: NDArray[np.bool_]
    refused: NDArray[np.bool_]
    seconds: float
    certainty: float

    def __len__(self) -> int:
        return len(self.at_s)

    @property
    def rate(self) -> float:
        """Good answers/s."""
        return float(self.good.sum()) / self.seconds if self.seconds else 0.0

    @cached_property
    def errors(self) -> Estimate:
        """Share that failed otherwise than by a 503; there is a request."""
        return share(~self.good & ~self.refused, self.at_s, certainty=self.certainty)

    @cached_property
    def refusals(self) -> Estimate:
        """Share that was refused; there is a request."""
        return share(self.refused, self.at_s, certainty=self.certainty)

    def quantile(self, name: str) -> Estimate:
        """Milliseconds of good answers, such as at `p99`; there is one."""
        return quantile(self.ms[self.good], self.at_s[self.good], level(name), certainty=self.certainty)


def asked(run: Run, slo: Slo) -> Asked:
    """The requests of a run that count.

    Raises:
        LoadError: they cannot be read.
    """
    rows = run.requests
    counts = pc.greater_equal(rows["at_s"], slo.requests.warm_up_s)
    if slo.requests.names:
        counts = pc.and_(counts, pc.is_in(rows["name"], value_set=pa.array(slo.requests.names)))
    rows = rows.filter(counts)
    refused = rows["status"].to_numpy() == REFUSED
    return Asked(
        at_s=rows["at_s"].to_numpy(),
        ms=rows["ms"].to_numpy().astype(np.float64),
        good=(pc.equal(rows["failure"], "").to_numpy()) & ~refused,
        refused=refused,
        seconds=max(0.0, run.facts.seconds - slo.requests.warm_up_s),
        certainty=slo.latency.certainty,
    )


def sampled(run: Run, slo: Slo) -> "pd.DataFrame | None":
    """The samples of the pods that count, one row each, by time; None when nobody looked at them.

    Raises:
        LoadError: they cannot be read.
    """
    if run.server is None:
        return None
    rows: pd.DataFrame = run.server.to_pandas()
    if slo.server.bentos:
        rows = rows[rows["bento"].isin(slo.server.bentos)]
    return rows.sort_values("at_s", kind="stable") if len(rows) else None


def grown(values: "pd.Series[float]") -> float:
    """What a counter grew by; one that falls began again at zero."""
    steps = np.diff(values.to_numpy(dtype=np.float64))
    after = values.to_numpy(dtype=np.float64)[1:]
    return float(np.where(steps >= 0, steps, after).sum())


def unknown(rows: "pd.DataFrame", column: str, least: int = 1) -> list[str]:
    """Pods of which a figure is not known so many times; those just begun are nobody's fault."""
    pods = rows.groupby("pod")
    looked_at_for = pods["at_s"].max() - pods["at_s"].min()
    settled = looked_at_for.index[(looked_at_for >= YOUNG_S) | (looked_at_for.max() < YOUNG_S)]
    known = pods[column].count()
    return sorted(str(pod) for pod in settled if known[pod] < least)


def cpu_per_answer(run: Run, slo: Slo) -> float | None:
    """CPU milliseconds of all pods for a good answer, between the first sample that counts and the last.

    None when it was not measured twice for every pod, or nothing was answered meanwhile.
    """
    rows = sampled(run, slo)
    rows = None if rows is None else rows[rows["at_s"] >= slo.requests.warm_up_s]
    if rows is None or rows.empty or unknown(rows, "cpu_s", least=2):
        return None
    answered = asked(run, slo)
    begin, end = rows["at_s"].min(), rows["at_s"].max()
    answers = int((answered.good & (answered.at_s >= begin) & (answered.at_s < end)).sum())
    used = sum(_used(pod) for _, pod in rows.groupby("pod"))
    return 1000 * used / answers if answers else None


def _used(pod: "pd.DataFrame") -> float:
    """CPU seconds of a pod while it was looked at: it is measured more seldom, and at its own times."""
    return (cpu_cores(pod) or 0.0) * float(np.ptp(pod["at_s"].to_numpy()))


def cpu_cores(pod: "pd.DataFrame") -> float | None:
    """What a pod used on average, between its first measurement and its last; None with fewer than two.

    Args:
        pod: its samples, by time.
    """
    measured = pod.dropna(subset=["cpu_s"])
    seconds = float(np.ptp(measured["at_s"].to_numpy())) if len(measured) else 0.0
    return grown(measured["cpu_s"]) / seconds if seconds else None


def memory_peak(run: Run, slo: Slo) -> float | None:
    """Bytes of the fullest pod's working set at its highest; None when it was not sampled for every pod."""
    rows = sampled(run, slo)
    if rows is None or rows.groupby("pod")["memory_working_set"].count().eq(0).any():
        return None
    return float(rows["memory_working_set"].max())


def summary(run: Run, slo: Slo) -> Mapping[str, float]:
    """The figures by name, for a machine; what is not known is absent. Times in ms, memory in bytes."""
    seen = asked(run, slo)
    figures: dict[str, float] = {"requests": len(seen), "seconds": seen.seconds, "rate": seen.rate}
    if len(seen):
        figures |= {"errors": seen.errors.value, "refused": seen.refusals.value}
    if seen.good.any():
        figures |= {f"{name}_ms": seen.quantile(name).value for name in slo.latency.at_most_ms}
    server = {"cpu_ms_per_answer": cpu_per_answer(run, slo), "memory_peak": memory_peak(run, slo)}
    return figures | {name: value for name, value in server.items() if value is not None}
