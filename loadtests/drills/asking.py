"""Who asks meanwhile: Locust's people at a steady rate, in a process of their own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from drills.scene import Scene
from measures import ROOT

RATE = 30
"""Requests per second."""

LONGEST_S = 1800
SETTLE_S = 8.0
"""Seconds until everybody asks."""


@dataclass(slots=True)
class Asked:
    """What people got; known when they have gone.

    Attributes:
        answered: requests that were answered well.
        failed: the others.
        errors: why, with how often.
    """

    answered: int = 0
    failed: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)

    @property
    def says(self) -> str:
        """In words."""
        why = "".join(f"; {count} x {each}" for each, count in self.errors.items())
        return f"of {self.answered + self.failed:,}{why}"


@contextmanager
def asking(scene: Scene, *, rate: int = RATE) -> Iterator[Asked]:
    """People ask while inside; any answer with a status of 2xx is a good one."""
    asked = Asked()
    with TemporaryDirectory() as scratch:
        times, log = Path(scratch) / "times.json", Path(scratch) / "log"
        with (
            log.open("wb") as out,
            subprocess.Popen(_command(scene, rate, times), stdout=out, stderr=out) as run,
        ):
            try:
                time.sleep(SETTLE_S)
                yield asked
            finally:
                # Locust lets everybody finish, and writes what it has seen.
                run.send_signal(signal.SIGTERM)
                run.wait(60)
        if not times.exists():
            raise RuntimeError(f"Locust left nothing: {log.read_text(errors='replace')[-500:]}")
        told = json.loads(times.read_text(encoding="ascii"))
    asked.answered, asked.failed, asked.errors = len(told["milliseconds"]), told["failed"], told["errors"]


def _command(scene: Scene, rate: int, times: Path) -> list[str]:
    return [
        *(str(Path(sys.executable).with_name("locust")), "-f", str(ROOT / "loadtests" / "locustfile.py")),
        *("--headless", "--only-summary", "--exit-code-on-error", "0", "--any-slate"),
        *("--host", scene.shop.gateway, "--gateway-host", scene.shop.host, "--project", str(ROOT)),
        *("--users", str(rate), "--spawn-rate", str(rate), "--run-time", f"{LONGEST_S}s"),
        *("--times", str(times)),
    ]
