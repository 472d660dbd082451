"""Measure the first voyage: every promise of `make up`, of the release it makes, and of the answer it gives.

    make measure-voyage            # everything, from an empty cache: about half an hour on 2 cores
    python loadtests/voyage.py --here   # this checkout and its caches as they are: no cold start

The cold start runs in a clone of this checkout with caches of its own, so that nothing built before helps it;
the cluster has a state directory of its own too. All of it is removed at the end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measures import ROOT, Measure, at_least, at_most, report

RATE = 10
SECONDS = 60


def main() -> None:
    """Measure in the order of the voyage, and report even when a part of it fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--here", action="store_true", help="use this checkout and its caches; leave out the cold start"
    )
    here: bool = parser.parse_args().here
    measures: list[Measure] = []
    with place(here=here) as (checkout, environment):
        run = Voyage(checkout, environment)
        try:
            if not here:
                measures.append(at_most("make up, cold", 20, run.make("up") / 60, "min"))
            run.make("down")
            measures.append(at_most("make up, warm", 3, run.make("up") / 60, "min"))
            measures += run.quality()
            measures += run.latency()
            measures += run.images()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, KeyError, OSError) as error:
            measures.append(Measure(name="the voyage", target="arrives", measured=repr(error), holds=False))
        finally:
            run.make("down")
    report("voyage", measures)


@contextmanager
def place(*, here: bool) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Where to measure, and with which environment."""
    if here:
        yield ROOT, os.environ
        return
    # Not below /tmp, which may be small or in memory; not hidden, which BentoML refuses.
    with tempfile.TemporaryDirectory(prefix="voyage-", dir=ROOT.parent) as scratch:
        checkout = Path(scratch) / "checkout"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        data = ROOT.parent / "shared"
        if data.exists():
            (Path(scratch) / "shared").symlink_to(data)
        caches = {
            name: str(Path(scratch) / name.lower())
            for name in (
                "XDG_CACHE_HOME",
                "XDG_STATE_HOME",
                "GOCACHE",
                "GOMODCACHE",
                "UV_CACHE_DIR",
                "TONNAGE_STATE_DIR",
            )
        }
        # Go makes its module cache read-only, which would keep the scratch directory from being removed.
        yield checkout, {**os.environ, **caches, "GOFLAGS": "-modcacherw"}


class Voyage:
    """One checkout that is brought up and asked."""

    def __init__(self, checkout: Path, environment: Mapping[str, str]) -> None:
        self.checkout, self.environment = checkout, dict(environment)

    def make(self, target: str) -> float:
        """Run a make target; its output is ours. Returns seconds."""
        started = time.monotonic()
        self._run(["make", target])
        return time.monotonic() - started

    def tonnage(self, *arguments: str) -> str:
        """Run a verb and return what it printed."""
        command = [str(self.checkout / ".venv/bin/tonnage"), *arguments]
        return self._run(command, stdout=subprocess.PIPE).stdout

    def quality(self) -> list[Measure]:
        """What the release's own evaluation says of its slates and of its candidates."""
        results = json.loads((self._newest() / "release.json").read_text())["evaluation"]["results"]
        ours = next(row for row in results["rows"] if (row["model"], row["group"]) == ("slate", "warm"))
        return [
            at_least("slate NDCG@10, users with a history", 0.39, ours["ndcg@10"]),
            at_least("candidate recall@500, users with a history", 0.78, ours["recall@500"]),
        ]

    def latency(self) -> list[Measure]:
        """Ask through the Gateway at a steady rate, with Locust."""
        gateway = json.loads(self.tonnage("cluster", "status", "--output", "json"))["gateway_url"]
        said = self._run(
            [
                *(
                    str(self.checkout / ".venv/bin/locust"),
                    "-f",
                    "loadtests/locustfile.py",
                    "--headless",
                    "--json",
                ),
                *(
                    "--host",
                    gateway,
                    "--users",
                    str(RATE),
                    "--spawn-rate",
                    str(RATE),
                    "--run-time",
                    f"{SECONDS}s",
                ),
                *("--project", str(self.checkout), "--exit-code-on-error", "0"),
            ],
            stdout=subprocess.PIPE,
        ).stdout
        asked = json.loads(said)[0]
        times = sorted((float(ms), count) for ms, count in asked["response_times"].items())
        return [
            at_least("requests answered", 0.95 * RATE * SECONDS, asked["num_requests"]),
            at_most("requests that failed", 0, asked["num_failures"], ""),
            at_most(f"recommendation p50 at {RATE} requests/s", 20, quantile(times, 0.5), "ms"),
            at_most(f"recommendation p99 at {RATE} requests/s", 40, quantile(times, 0.99), "ms"),
        ]

    def images(self) -> list[Measure]:
        """How large the images are, and what a second release moves."""
        first = self._packaged()
        toml = self.checkout / "second.toml"
        toml.write_text("[training]\nseed = 2\n")
        try:
            self.tonnage("train", "--project", str(toml))
            second = self._packaged()
        finally:
            toml.unlink()
        sizes = [
            at_most(f"image {name}", 600, image["unpacked"] / 1e6, "MB") for name, image in first.items()
        ]
        moved = sorted(
            {
                layer["role"]
                for name, image in second.items()
                for layer in image["layers"]
                if layer["digest"] not in {each["digest"] for each in first[name]["layers"]}
            }
        )
        target = "the model layer alone"
        return [
            *sizes,
            Measure(
                name="layers that a second release moves",
                target=target,
                measured=", ".join(moved) or "none",
                holds=moved == ["model"],
            ),
        ]

    def _packaged(self) -> dict[str, Any]:
        said = self.tonnage("package", "--release", "latest", "--on-disk", "--output", "json")
        images: dict[str, Any] = json.loads(said)["images"]
        return images

    def _newest(self) -> Path:
        releases = self.checkout / "build" / "releases"
        return releases / (releases / ".latest").read_text(encoding="ascii")

    def _run(self, command: list[str], stdout: int | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
            check=True,
            timeout=3600,
        )


def quantile(times: list[tuple[float, int]], share: float) -> float:
    """The smallest time that `share` of the requests stayed within; `times` are (ms, count), ascending."""
    needed = share * sum(count for _, count in times)
    seen = 0
    for milliseconds, count in times:
        seen += count
        if seen >= needed:
            return milliseconds
    raise ValueError("no request was answered")


if __name__ == "__main__":
    shutil.which("make") or sys.exit("make is not installed: apt-get install make")
    main()
