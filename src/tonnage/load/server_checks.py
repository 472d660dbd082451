"""What the pods did during a run, against what an objective allows them. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import theilslopes

from tonnage.deployment.judge.verdict import Finding, Outcome
from tonnage.load.figures import grown, unknown
from tonnage.load.runs import Facts
from tonnage.load.slo import Slo

if TYPE_CHECKING:
    import pandas as pd

MIB = 2**20

UNSEEN_S, UNSEEN_SHARE = 60.0, 0.2
"""Longest time without a sample: so many seconds, or so much of the run if that is longer."""

FORESIGHT = 24
"""What grows for an hour tells of the next day, and no more."""

POINTS = 16
"""Means that a trend is seen in: neighbouring samples are nearly the same one."""

SURELY = 0.99


def judge(rows: "pd.DataFrame | None", facts: Facts, slo: Slo) -> list[Finding]:
    """One finding for each figure that is asked for.

    Args:
        rows: samples of the pods that count, by time; None when there is none.
        facts: of the run.
        slo: the objective.
    """
    limits = slo.server
    checks = {
        "memory": (limits.memory_share, _memory),
        "OOMKills": (limits.oom_kills, _oom_kills),
        "restarts": (limits.restarts, _restarts),
        "throttling": (limits.throttled_share, _throttling),
        "leak": (limits.leak_horizon_s, _leak),
    }
    wanted = {name: check for name, (limit, check) in checks.items() if limit is not None}
    unseen = _unseen(rows, facts)
    if rows is None or unseen:
        return [_not_sampled(name, unseen) for name in wanted]
    return [finding for check in wanted.values() for finding in check(rows, facts, slo)]


def _unseen(rows: "pd.DataFrame | None", facts: Facts) -> str:
    """Why the samples do not tell of the whole run; empty when they do."""
    if rows is None:
        return "no pod was looked at during the run"
    times = np.unique(np.concatenate([[0.0], rows["at_s"].to_numpy(), [facts.seconds]]))
    longest = float(np.diff(times).max(initial=0.0))
    if longest > max(UNSEEN_S, UNSEEN_SHARE * facts.seconds):
        return f"nobody looked at the pods for {longest:.0f} of {facts.seconds:.0f} s"
    return ""


def _not_sampled(check: str, why: str) -> Finding:
    return Finding(check=check, outcome=Outcome.ERROR, reason=f"not sampled: {why}")


def _memory(rows: "pd.DataFrame", _facts: Facts, slo: Slo) -> Iterator[Finding]:
    unmeasured = unknown(rows, "memory_working_set")
    unlimited = sorted(rows.loc[rows["memory_limit"] == 0, "pod"].unique())
    if unmeasured:
        yield _not_sampled("memory", f"no working set of {_named(unmeasured)}")
        return
    if unlimited:
        says = f"{_named(unlimited)} has no memory limit, so there is no share of it"
        yield Finding(check="memory", outcome=Outcome.ERROR, reason=says)
        return
    shares = rows["memory_working_set"].astype(np.float64) / rows["memory_limit"].astype(np.float64)
    worst, limit = rows.loc[shares.idxmax()], slo.server.memory_share or 0.0
    says = (
        f"pod {worst['pod']} used {_mib(worst['memory_working_set'])} of its limit of "
        f"{_mib(worst['memory_limit'])} at {worst['at_s']:.0f} s, {shares.max():.1%}; at most {limit:.1%}"
    )
    yield Finding(check="memory", outcome=at_most(float(shares.max()), limit), reason=says)


def _oom_kills(rows: "pd.DataFrame", _facts: Facts, slo: Slo) -> Iterator[Finding]:
    killed = rows[rows["oom_killed"]].drop_duplicates("pod")
    pods = rows["pod"].nunique()
    limit = slo.server.oom_kills or 0
    seen = [f"{row.pod} (limit {_mib(row.memory_limit)}) by {row.at_s:.0f} s" for row in killed.itertuples()]
    says = f"OOMKilled: {_named(seen)} of {pods} pods" if seen else f"none in {pods} pods"
    yield Finding(check="OOMKills", outcome=at_most(len(killed), limit), reason=f"{says}; at most {limit}")


def _restarts(rows: "pd.DataFrame", _facts: Facts, slo: Slo) -> Iterator[Finding]:
    first = rows["at_s"].min()
    counted: dict[str, int] = {}
    for name, pod in rows.groupby("pod"):
        # A pod that came later began at none; one that was there had what it had.
        before = pod["restarts"].iloc[0] if pod["at_s"].iloc[0] == first else 0
        counted[str(name)] = int(pod["restarts"].max() - before)
    total, limit = sum(counted.values()), slo.server.restarts or 0
    seen = [f"{name} ({times})" for name, times in sorted(counted.items()) if times]
    says = f"{total}: {_named(seen)}" if seen else f"none in {len(counted)} pods"
    yield Finding(check="restarts", outcome=at_most(total, limit), reason=f"{says}; at most {limit}")


def _throttling(rows: "pd.DataFrame", _facts: Facts, slo: Slo) -> Iterator[Finding]:
    limited = rows[rows["cpu_limit"] > 0]
    if limited.empty:
        # There is no bandwidth control without a limit, hence no periods to count.
        yield Finding(check="throttling", outcome=Outcome.PASS, reason="no pod has a CPU limit")
        return
    later = limited[limited["at_s"] >= slo.requests.warm_up_s].dropna(subset=["periods", "throttled"])
    shares = {
        str(name): grown(pod["throttled"]) / max(grown(pod["periods"]), 1.0)
        for name, pod in later.groupby("pod")
        if len(pod) > 1
    }
    unmeasured = unknown(limited, "throttled", least=2)
    if unmeasured or not shares:
        whose = _named(unmeasured) or "any pod after the warm-up"
        yield _not_sampled("throttling", f"fewer than two counts of CFS periods of {whose}")
        return
    worst = max(shares, key=lambda name: shares[name])
    limit = slo.server.throttled_share or 0.0
    says = f"pod {worst} had to wait in {shares[worst]:.1%} of its CFS periods; at most {limit:.1%}"
    yield Finding(check="throttling", outcome=at_most(shares[worst], limit), reason=says)


def _leak(rows: "pd.DataFrame", facts: Facts, slo: Slo) -> Iterator[Finding]:
    horizon = slo.server.leak_horizon_s or 0.0
    seconds = facts.seconds - slo.requests.warm_up_s
    ahead = f"the next {_span(horizon)}"
    if seconds * FORESIGHT < horizon:
        says = f"{_span(seconds)} tell nothing of {ahead}; soak for at least {_span(horizon / FORESIGHT)}"
        yield Finding(check="leak", outcome=Outcome.NOT_JUDGED, reason=says)
        return
    # Memory fills at first, with caches and arenas, and then stops: the second half tells whether it does.
    half = rows[rows["at_s"] >= facts.seconds - seconds / 2].dropna(subset=["memory_working_set"])
    pods = [pod for _, pod in half.groupby("pod") if _tells_of(pod, seconds / 2)]
    unmeasured = unknown(rows, "memory_working_set")
    if unmeasured or not pods:
        whose = _named(unmeasured) or "any pod"
        yield _not_sampled("leak", f"fewer than {POINTS} working sets of {whose} in the second half")
        return
    grown_by = [_growth(pod) for pod in pods]
    leaking = [_reaches(growth, pod, horizon) for growth, pod in zip(grown_by, pods, strict=True)]
    if any(leaking):
        says = f"{'; '.join(filter(None, leaking))}; it may not within {ahead}"
        yield Finding(check="leak", outcome=Outcome.FAIL, reason=says)
        return
    fastest = _an_hour(max(seen for seen, _ in grown_by))
    says = f"no working set of {len(pods)} pods surely grows to its limit within {ahead}; the fastest"
    yield Finding(check="leak", outcome=Outcome.PASS, reason=f"{says} grew by {fastest}")


def _tells_of(pod: "pd.DataFrame", seconds: float) -> bool:
    return len(pod) >= POINTS and float(np.ptp(pod["at_s"].to_numpy())) >= seconds / 2


def _growth(pod: "pd.DataFrame") -> tuple[float, float]:
    """Bytes per second that a working set grows by: as seen (Theil and Sen), and surely at least."""
    pieces = np.array_split(pod[["at_s", "memory_working_set"]].to_numpy(dtype=np.float64), POINTS)
    at_s, size = np.array([piece.mean(axis=0) for piece in pieces]).T
    fitted = theilslopes(size, at_s, alpha=SURELY)
    # What fills up grows ever more slowly: it goes on as it grew last, not as it did before.
    last = theilslopes(size[POINTS // 2 :], at_s[POINTS // 2 :]).slope
    return float(fitted.slope), float(min(fitted.low_slope, last))


def _reaches(growth: tuple[float, float], pod: "pd.DataFrame", horizon_s: float) -> str:
    """How a working set reaches its limit within the horizon, in words; empty when it does not surely."""
    seen, surely = growth
    last = pod.iloc[-1]
    left = float(last["memory_limit"]) - float(last["memory_working_set"])
    if surely <= 0 or not last["memory_limit"] or left > surely * horizon_s:
        return ""
    return (
        f"pod {last['pod']} leaks memory: its working set grows by {_an_hour(seen)}, surely by "
        f"{_an_hour(surely)}, and reaches its limit of {_mib(last['memory_limit'])} in {_span(left / seen)}"
    )


def _an_hour(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 3600 / MIB:.3g} MiB an hour"


def _named(what: Sequence[str], most: int = 3) -> str:
    more = f" and {len(what) - most} more" if len(what) > most else ""
    return ", ".join(what[:most]) + more


def _mib(size: Any) -> str:
    return f"{float(size) / MIB:,.0f} MiB"


def _span(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"


def at_most(figure: float, limit: float) -> Outcome:
    """Whether a figure keeps its limit."""
    return Outcome.PASS if figure <= limit else Outcome.FAIL
