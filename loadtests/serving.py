"""Measure embedding serving: every promise of its speed, its memory and its behaviour under overload.

    make measure-serving                                    # everything: 20 minutes, twice that at first
    python loadtests/serving.py --only ranker retriever     # some parts
    python loadtests/serving.py --quick --only overload     # short: proves the scripts alone

Parts: `ranker` beside its peers, `retriever` beside its library, `memory` of the retriever, `latency` and
`overload` on the embedded cluster. What cannot be measured is a miss, with the reason, and the rest goes on.
It takes root (a memory cgroup, the cluster), two cores and the Debian package wrk.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import large
import latency
import memory
import overloaded
import retrieval
from measures import FAILURES, ROOT, Measure, report
from peers import ranking
from shops import deployed, running_cluster
from simulated import Shape
from tonnage.cli.project import Project
from tonnage.datasets.tables import read_report
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Progress, Spoken

PARTS = ("ranker", "retriever", "memory", "latency", "overload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: how long, how large, and what it has found so far."""

    quick: bool
    progress: Progress
    measures: list[Measure] = field(default_factory=list)

    @property
    def rounds(self) -> ranking.Rounds:
        """Rounds of closed-loop load."""
        return ranking.Rounds(count=1, seconds=3) if self.quick else ranking.Rounds()

    @property
    def seconds(self) -> int:
        """Of steady or of too much load."""
        return 10 if self.quick else 60

    @property
    def shape(self) -> Shape:
        """Of the large shop."""
        return Shape(items=50_000) if self.quick else Shape()

    def large(self) -> large.Large:
        """The large shop."""
        return large.provide(self.shape, progress=self.progress)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part; its failure is a miss, and the rest goes on."""
        try:
            with self.progress.stage(name):
                yield
        except FAILURES as error:
            said = str(getattr(error, "stderr", None) or "").strip().splitlines()[-1:]
            why = ": ".join([type(error).__name__, str(error), *said])
            self.measures.append(Measure(name=name, target="can be measured", measured=why, holds=False))


def ranker(run: Run) -> None:
    """The ranker beside its peers."""
    with run.part("ranker beside its peers"):
        run.measures.extend(ranking.measure(run.rounds, run.progress))


def retriever(run: Run) -> None:
    """The retriever beside its library."""
    rounds = run.rounds
    with run.part("retriever beside its library"):
        run.measures.extend(
            retrieval.measure(run.large(), rounds=rounds.count, seconds=rounds.seconds, progress=run.progress)
        )


def memory_of_retriever(run: Run) -> None:
    """What the retriever holds."""
    with run.part("memory of the retriever"):
        run.measures.extend(memory.measure(run.large()))


def on_cluster(run: Run, *, steady: bool, flood: bool) -> None:
    """Latency and overload through the Gateway."""
    with run.part("the embedded cluster"), running_cluster(run.progress) as config:
        with (
            run.part("Online Retail on the cluster"),
            deployed(
                config, ROOT, name="measure-shop", values={}, ready_made=False, progress=run.progress
            ) as shop,
        ):
            name = shop_name(ROOT)
            if steady:
                with run.part(f"latency, {name}"):
                    run.measures.extend(latency.measure(name, shop, ROOT, p50=8, p99=15, seconds=run.seconds))
            if flood:
                with run.part(f"overload, {name}"):
                    run.measures.extend(
                        overloaded.shop(name, shop, ROOT, seconds=run.seconds, progress=run.progress)
                    )
        if steady:
            with run.part("a large shop on the cluster"):
                _large_on_cluster(run, config)


def _large_on_cluster(run: Run, config: EmbeddedConfig) -> None:
    made = run.large()
    name = f"{run.shape.items:,} simulated items"
    values = {"retriever": {"resources": {"limits": {"memory": "512Mi"}}}}
    with deployed(
        config, made.root, name="measure-large", values=values, ready_made=True, progress=run.progress
    ) as shop:
        run.measures.extend(latency.measure(name, shop, made.root, p50=12, p99=25, seconds=run.seconds))


def shop_name(root: Path) -> str:
    """What the project's data are, in words: without Online Retail they are the simulator's."""
    source = read_report(Project.open(root / "tonnage.toml").data).source
    return "Online Retail" if source == "online-retail" else f"the shop of source {source}"


def flood_ranker(run: Run) -> None:
    """The ranker alone under overload."""
    with run.part("overload, ranker alone"):
        run.measures.extend(overloaded.ranker(run.large(), seconds=run.seconds, progress=run.progress))


def main() -> None:
    """Measure the parts that are asked for, and report even when one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="which parts")
    parser.add_argument("--quick", action="store_true", help="short runs that prove the scripts alone")
    given = parser.parse_args()
    wanted = set(given.only)
    run = Run(quick=given.quick, progress=Spoken())
    if "ranker" in wanted:
        ranker(run)
    if "retriever" in wanted:
        retriever(run)
    if "memory" in wanted:
        memory_of_retriever(run)
    if "overload" in wanted:
        flood_ranker(run)
    if wanted & {"latency", "overload"}:
        on_cluster(run, steady="latency" in wanted, flood="overload" in wanted)
    report("serving-quick" if given.quick else "serving", run.measures)


if __name__ == "__main__":
    main()
