"""Load lines by `tonnage load line`: the same one twice, and others that a model must predict."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from shutil import rmtree

from lines.held_out import alike, error
from lines.scene import LOCUSTFILE, TONNAGE, VARIANTS, WORK, Made, Stall, made
from measures import ROOT, Measure
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.load.line import MIB, LoadLine, read_line
from tonnage.serving.environment import Environment
from tonnage.serving.memory.start import plan_for

SLO = ROOT / "loadtests" / "lines" / "line.toml"

MIDDLE = 100_000
"""Items of the catalogue whose line is measured twice, and predicted from those beside it."""

BESIDE = (25_000, 400_000)

ONE, TWO = 1, 2
"""Limits of a line: an ample one, and one that is little more than what is needed."""

MEASURED = (0, 3)
"""Exit codes of a line that was walked to its end; after the second some place has no rate."""

AMPLE_MIB = 768
SPARE_MIB = 32
"""What a pod's own memory plan may ask for beyond the one that is made beforehand: it measures itself."""

SHOP: Mapping[str, object] = {
    # So little that one process of Locust is never as busy as the retriever, on two cores.
    "retriever": {"resources": {"limits": {"cpu": "500m"}}},
    # The objective allows more time than a shop would, so that the queue may be as long.
    "queueMs": 300,
}

STARTS: Mapping[str, Mapping[int, float]] = {
    "exact-f32": {25_000: 250, 100_000: 130, 400_000: 40},
    "hnsw-i8": {25_000: 200, 100_000: 130, 400_000: 90},
}
"""Rates to begin with, requests per second, by precision and catalogue: wrong ones cost only time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How well a rate is searched for.

    Attributes:
        seconds: of one try.
        resolution: share to which it is found.
        confirmations: passes that the answer needs, and fails that the rate above it needs.
    """

    seconds: float = 8.0
    resolution: float = 0.04
    confirmations: int = 2


QUICK = Effort(resolution=0.3, confirmations=1)


@dataclass(kw_only=True)
class Walks:
    """Lines of several catalogues, in one shop, each measured when it is first asked for.

    Attributes:
        shop: that serves them.
        config: of the cluster.
        effort: of searches.
    """

    shop: Stall
    config: EmbeddedConfig
    effort: Effort
    _served: int = 0

    @cached_property
    def middle(self) -> list[LoadLine]:
        """The lines of the catalogue in the middle, one for each precision."""
        return [self._line(MIDDLE, precision, "first", TWO) for precision in VARIANTS]

    @cached_property
    def again(self) -> list[LoadLine]:
        """The same lines, measured another time."""
        return [self._line(MIDDLE, precision, "second", TWO) for precision in VARIANTS]

    @cached_property
    def beside(self) -> list[LoadLine]:
        """Those of the smaller and of the larger catalogue, at one limit."""
        return [self._line(items, precision, "beside", ONE) for items in BESIDE for precision in VARIANTS]

    def _line(self, items: int, precision: str, what: str, places: int) -> LoadLine:
        release = made(items, self.config, self.shop.progress)
        if self._served != items:
            self.shop.serve(release, SHOP)
            self._served = items
        out = WORK / "lines" / f"{what}-{items}-{precision}"
        if out.exists():
            rmtree(out)
        limits = [f"{each}Mi" for each in (AMPLE_MIB, tight_mib(release, precision))[:places]]
        with self.shop.progress.stage(f"{what} line of {items:,} items, {precision} at {', '.join(limits)}"):
            ended = subprocess.run(
                [
                    *(*TONNAGE, "load", "line", "--slo", str(SLO), "--out", str(out)),
                    *("--project", str(release.large.root / "tonnage.toml")),
                    *("--name", self.shop.name, "--namespace", self.shop.name),
                    *("--locustfile", str(LOCUSTFILE), "--people", "RetrieverBinary"),
                    *("--host", "http://{pod}:3000", "--yes-load", "{pod}"),
                    *("--precision", precision),
                    *(argument for each in limits for argument in ("--memory-limit", each)),
                    *("--start", str(STARTS[precision][items]), "--seconds", str(self.effort.seconds)),
                    *("--resolution", str(self.effort.resolution)),
                    *("--confirmations", str(self.effort.confirmations)),
                ],
                check=False,
                timeout=1800,
            )
        if ended.returncode not in MEASURED:
            raise RuntimeError(f"tonnage load line ended with exit code {ended.returncode}")
        return read_line(out / "load-line.json")


def tight_mib(release: Made, precision: str) -> int:
    """Little more than the least limit with which a precision is served, MiB."""
    plan = plan_for(release.large.release(), Environment(), limit=None, measured=False)
    needed = next(each.needed_bytes for each in plan.choices if each.name == precision)
    return -(-needed // MIB) + SPARE_MIB


def twice(walks: Walks) -> list[Measure]:
    """Whether a line is the same when it is measured again."""
    return alike(walks.middle, walks.again)


def predicted(walks: Walks) -> list[Measure]:
    """How far the model is off where it was not fitted: another catalogue, and other limits."""
    return [error(walks.beside, walks.middle)]
