"""What a process remembers of each request, and of its own work: a few bytes each, for hours."""

import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

SHORTEST_S = 0.5
"""What is measured over less says nothing of how busy a process was."""

Parcel = dict[str, Any]
"""What a worker sends its master; of types that Locust's messages carry."""


class Rows:
    """Requests in columns. A request's name and what was wrong with it are one small number."""

    def __init__(self) -> None:
        self._began, self._ms = array("d"), array("f")
        self._status, self._told, self._retry = array("H"), array("I"), array("B")
        self._said: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._began)

    def add(
        self, *, began: float, ms: float, status: int, name: str, failure: str, retry_after: bool
    ) -> None:
        """One request.

        Args:
            began: seconds since the epoch.
            ms: until its end.
            status: of HTTP; 0 where nothing came back.
            name: as in Locust's statistics.
            failure: why it was no good answer; empty for one that was.
            retry_after: whether the answer said when to come again.
        """
        self._began.append(began)
        self._ms.append(ms)
        self._status.append(status)
        self._told.append(self._said.setdefault((name, failure), len(self._said)))
        self._retry.append(retry_after)

    def take(self) -> Parcel:
        """All of them, to be sent; none are left here."""
        columns = (self._began, self._ms, self._status, self._told, self._retry)
        parcel: Parcel = {"columns": [each.tobytes() for each in columns], "said": list(self._said)}
        for each in columns:
            del each[:]
        self._said.clear()
        return parcel

    def put(self, parcel: Parcel) -> None:
        """Add those that a worker sent."""
        began, ms, status, told, retry = parcel["columns"]
        for column, content in (
            (self._began, began),
            (self._ms, ms),
            (self._status, status),
            (self._retry, retry),
        ):
            column.frombytes(content)
        own = [self._said.setdefault((name, failure), len(self._said)) for name, failure in parcel["said"]]
        theirs = array("I")
        theirs.frombytes(told)
        self._told.extend(own[each] for each in theirs)

    def columns(self, since: float, until: float) -> Mapping[str, Any]:
        """Columns of `tonnage.load.runs.REQUESTS`, in the order of time, of what began within a run.

        Args:
            since: when it began, seconds since the epoch.
            until: when it ended.
        """
        began = np.array(self._began)
        order = np.argsort(began, kind="stable")
        order = order[(began[order] >= since) & (began[order] < until)]
        told = np.array(self._told)[order]
        names, failures = zip(*self._said, strict=True) if self._said else ((), ())
        return {
            "at_s": began[order] - since,
            "name": pa.array(names, pa.string()).take(told),
            "status": np.array(self._status)[order],
            "ms": np.array(self._ms)[order],
            "failure": pa.array(failures, pa.string()).take(told),
            "retry_after": np.array(self._retry)[order].astype(bool),
        }


@dataclass(slots=True)
class Work:
    """How busy a process was.

    Attributes:
        cpu_s: that it used.
        passed_s: meanwhile.
        most: largest share of one core in any of the times between two looks.
    """

    cpu_s: float = 0.0
    passed_s: float = 0.0
    most: float = 0.0

    @property
    def mean(self) -> float:
        """Share of one core."""
        return self.cpu_s / self.passed_s if self.passed_s else 0.0

    def add(self, cpu_s: float, passed_s: float) -> None:
        """What was used between two looks."""
        self.cpu_s += cpu_s
        self.passed_s += passed_s
        if passed_s >= SHORTEST_S:
            self.most = max(self.most, cpu_s / passed_s)


@dataclass(slots=True)
class Watch:
    """Looks at this process's own work, from when it is made.

    Attributes:
        work: so far.
    """

    work: Work = field(default_factory=Work)
    _process: psutil.Process = field(default_factory=psutil.Process)
    _before: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self._before = self._now()

    def look(self) -> None:
        """Add what was used since the last look."""
        now = self._now()
        self.work.add(now[0] - self._before[0], now[1] - self._before[1])
        self._before = now

    def _now(self) -> tuple[float, float]:
        used = self._process.cpu_times()
        return used.user + used.system, time.monotonic()
