"""Load runs made up from a seed, of a service whose faults are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tonnage.load.runs import SERVER, Facts, Generator, Run, write_run

MIB = 2**20
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a run is made up of; the defaults are good.

    Attributes:
        seed: of everything that is drawn.
        rate: requests/s.
        seconds: length.
        median_ms: of good answers, lognormal.
        errors: share that fails.
        refused: share that gets a 503.
        began: minutes after the first run.
        generator: changes to its facts.
        facts: changes to the others.
        pods: rows of the server as `pod_rows` makes them; None: nobody looked.
    """

    seed: int = 0
    rate: float = 40
    seconds: float = 120
    median_ms: float = 20
    errors: float = 0
    refused: float = 0
    began: float = 0
    generator: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = None
    pods: Sequence[Mapping[str, Any]] | None = ()

    def write(self, folder: Path) -> Run:
        """Write it."""
        random = np.random.default_rng(self.seed)
        n = int(self.rate * self.seconds)
        fate = random.random(n)
        bad, refused = fate < self.errors, (fate >= self.errors) & (fate < self.errors + self.refused)
        requests = {
            "at_s": np.sort(random.uniform(0, self.seconds, n)),
            "name": np.where(random.random(n) < 0.1, "similar-items", "recommendations"),
            "status": np.where(bad, 500, np.where(refused, 503, 200)).astype(np.uint16),
            "ms": (self.median_ms * random.lognormal(0, 0.4, n)).astype(np.float32),
            "failure": np.where(bad, "status 500", np.where(refused, "status 503", "")),
            "retry_after": refused,
        }
        generator = {"processes": 2, "cpu_share_mean": 0.3, "cpu_share_max": 0.5, "cores": 2}
        facts = {
            "name": folder.name,
            "host": "http://127.0.0.1:30080",
            "started": BEGAN + timedelta(minutes=self.began),
            "seconds": self.seconds,
            "shape": "steady",
            "users": 40,
            "seed": self.seed,
            "generator": Generator(**{**generator, **(self.generator or {})}),
        }
        rows = self.pods if self.pods != () else pod_rows(self.seconds, seed=self.seed)
        server = None if rows is None else columns(rows)
        return write_run(folder, Facts(**{**facts, **(self.facts or {})}), requests, server)


def pod_rows(
    seconds: float,
    *,
    seed: int = 0,
    pod: str = "shop-stable-ranker-0",
    growth_mib_per_h: float = 0,
    every_s: float = 5,
    **changed: Any,
) -> list[dict[str, Any]]:
    """A pod at rest in 300 of its 512 MiB, looked at from beginning to end.

    Args:
        seconds: length of the run.
        seed: of what wobbles.
        pod: its name.
        growth_mib_per_h: of its working set.
        every_s: seconds between two looks.
        changed: columns that are otherwise; a function of the time, or a value.
    """
    random = np.random.default_rng(seed)
    times = np.arange(0, seconds + 1e-9, every_s)
    # What a process holds wanders slowly, and the page cache comes and goes.
    wander = np.zeros(len(times))
    for step in range(1, len(times)):
        wander[step] = 0.8 * wander[step - 1] + random.normal(0, 0.4)
    rows = []
    for at_s, off in zip(times, wander, strict=True):
        row = {
            "at_s": at_s,
            "pod": pod,
            "track": "stable",
            "bento": "ranker",
            "release": "r-20260301-0123abcd",
            "memory_working_set": int((300 + off + growth_mib_per_h * at_s / 3600) * MIB),
            "memory_limit": 512 * MIB,
            "cpu_s": 10 + 0.2 * at_s,
            "cpu_limit": 1.0,
            "periods": int(1000 + 10 * at_s),
            "throttled": int(50 + 0.1 * at_s),
            "queue": 0.0,
            "in_flight": 1.0,
            "refused": 0.0,
            "restarts": 0,
            "oom_killed": False,
            "ready": True,
        }
        row |= {name: value(at_s) if callable(value) else value for name, value in changed.items()}
        rows.append(row)
    return rows


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns."""
    return {name: [row[name] for row in rows] for name in SERVER.names}
