"""Recommendations through the Gateway, asked for by Locust's people at a steady rate."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from measures import ROOT, Measure, at_least, at_most
from shops import Shop

RATE = 20
"""Requests per second."""

WARM_UP_S = 10


def measure(name: str, shop: Shop, project: Path, *, p50: float, p99: float, seconds: int) -> list[Measure]:
    """What was promised of a shop's latency beside what was seen.

    Args:
        name: of the shop, in words.
        shop: that is asked.
        project: directory of the project whose users ask.
        p50: milliseconds promised; likewise p99.
        p99: milliseconds promised.
        seconds: of asking, after a warm-up.
    """
    asked(shop, project, WARM_UP_S)
    times, failed = asked(shop, project, seconds)
    if not times:
        why = f"no request was answered, {failed} failed"
        return [Measure(name=f"{name}: latency", target="measured", measured=why, holds=False)]
    what = f"{name}, through the Gateway at {RATE} requests/s"
    return [
        at_least(f"{what}: requests answered", 0.95 * RATE * seconds, len(times)),
        at_most(f"{what}: requests that failed", 0, failed, ""),
        at_most(f"{what}: p50", p50, quantile(times, 0.50), "ms"),
        at_most(f"{what}: p99", p99, quantile(times, 0.99), "ms"),
    ]


def asked(shop: Shop, project: Path, seconds: int) -> tuple[list[float], int]:
    """Milliseconds of each request that was answered well, ascending, and the number of the others."""
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "times.json"
        command = [
            *(str(Path(sys.executable).with_name("locust")), "-f", str(ROOT / "loadtests" / "locustfile.py")),
            *("--headless", "--only-summary", "--exit-code-on-error", "0"),
            *("--host", shop.gateway, "--gateway-host", shop.host, "--project", str(project)),
            *("--users", str(RATE), "--spawn-rate", str(RATE), "--run-time", f"{seconds}s"),
            *("--times", str(file)),
        ]
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds + 120,
        )
        told = json.loads(file.read_text(encoding="ascii"))
    return sorted(told["milliseconds"]), int(told["failed"])


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that `share` of the requests stayed within; `times` ascending, not empty. Pure."""
    return times[min(len(times) - 1, int(share * len(times)))]
