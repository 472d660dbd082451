"""The service whose line is measured: a deployed shop, and Locust in front of it."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tonnage.deployment.revisions import Revision
from tonnage.errors import ClusterError, LoadError
from tonnage.load.crowd import Crowd, Pods, load
from tonnage.load.gate import judge
from tonnage.load.line import MIB, Place, Try
from tonnage.load.moving import Moving
from tonnage.load.resizing import BENTO
from tonnage.load.slo import Slo
from tonnage.load.tries import try_of

POD = "{pod}"
"""In an address: that of the one retriever, which changes with each new pod."""

REHEARSED_S = 2.0

MARGIN = 1.05
"""Times the requests that a verdict needs: the first second of a run is not a whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A shop as `walking.walk` wants it.

    Attributes:
        moving: changes its limits.
        crowd: who loads it; `{pod}` in the host and the options is the retriever's address.
        pods: whom to look at meanwhile.
        slo: what a rate must hold.
        seconds: a try lasts at least; longer where the objective needs more requests.
        runs: folder that gets every run.
    """

    moving: Moving
    crowd: Crowd
    pods: Pods
    slo: Slo
    seconds: float
    runs: Path

    def settings(self) -> Revision:
        """The Helm release before anything is changed."""
        return self.moving.settings()

    def move(self, place: Place) -> None:
        """Give the retriever a limit and an index."""
        self.moving.move(place)

    def rehearse(self) -> None:
        """Ask for a moment, before anything is changed: somebody answers, and pods tell of themselves.

        Raises:
            LoadError: the people cannot ask; the sentence is theirs.
            ClusterError: the pods cannot be looked at, or do not tell what the objective asks.
        """
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / "run"
            arguments = self._crowd().arguments(rate=1, seconds=REHEARSED_S)
            run = load(arguments, folder, pods=self.pods, log=Path(scratch) / "log")
            rows = None if run.server is None else run.server.to_pandas()
        known = rows is not None and rows.loc[rows["bento"] == BENTO, "memory_working_set"].notna().any()
        if not known:
            raise ClusterError(
                "nobody tells how much memory the retriever uses",
                hint="Install metrics-server, or ask for the right to get nodes/proxy or pods/proxy.",
                namespace=self.pods.namespace,
            )

    def put_back(self, settings: Revision) -> None:
        """Give it back what it had."""
        self.moving.put_back(settings)

    def measure(self, place: Place, rate: float) -> Try:
        """Load it at a rate, and judge what it did.

        Raises:
            TonnageError: there is no run to judge.
            KeyboardInterrupt: so it was; the run is kept beside the others, and not judged.
        """
        folder = self._fresh(f"{place.precision}-{place.memory_limit_bytes // MIB}Mi-{rate:g}")
        arguments = self._crowd().arguments(rate=rate, seconds=seconds_at(rate, self.slo, self.seconds))
        log = folder.parent / f"{folder.name}.log"
        run = load(arguments, folder, pods=self.pods, log=log)
        return try_of(run, judge(run, self.slo), self.slo, rate=rate, bento=BENTO)

    def _crowd(self) -> Crowd:
        if not any(POD in each for each in (self.crowd.host, *self.crowd.options)):
            return self.crowd
        address = str(self.moving.pod()["status"]["podIP"])
        options = tuple(each.replace(POD, address) for each in self.crowd.options)
        return replace(self.crowd, host=self.crowd.host.replace(POD, address), options=options)

    def _fresh(self, name: str) -> Path:
        """A folder for the next run of this name."""
        self.runs.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = self.runs / f"{name}-{number}"
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
        raise LoadError(
            "there are too many runs already", hint="Give --out another folder.", folder=self.runs
        )


def seconds_at(rate: float, slo: Slo, least: float) -> float:
    """How long a rate must be asked for, so that there is a verdict. Pure.

    Args:
        rate: requests per second.
        slo: what a verdict needs.
        least: seconds in any case.
    """
    counted = max(slo.requests.least_seconds, MARGIN * slo.requests.least / rate)
    return max(least, math.ceil(slo.requests.warm_up_s + counted + 1))
