"""Measure load: what the gate says of good and bad releases, and how far a load line can be trusted.

    make measure-load                             # everything: three quarters of an hour on 2 cores
    python loadtests/load.py --only gate          # some parts
    python loadtests/load.py --quick --only line  # short: proves the scripts alone

Parts: `gate` judges real runs, of releases that are bad on purpose and of one that is equal; `line` measures
a load line twice; `prediction` predicts points that it measures. All play on the embedded cluster, in shops
of their own. What cannot be measured is a miss, with the reason, and the rest goes on. It takes root (the
cluster) and two cores with nothing else to do.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lines import gate, walks
from lines.scene import NAME, made, stall
from measures import FAILURES, Measure, report, unmeasured
from shops import running_cluster
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Progress, Spoken

PARTS = ("gate", "line", "prediction")

GATED_ITEMS = 100_000
"""Of the release that the gate judges."""


def main() -> None:
    """Measure the parts that are asked for, and report even when one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="which parts")
    parser.add_argument("--quick", action="store_true", help="few short runs: proves the script alone")
    given = parser.parse_args()
    # Whoever ends this ends what it began, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    progress, measures = Spoken(), list[Measure]()
    with part("the embedded cluster", measures, progress), running_cluster(progress) as config:
        if "gate" in given.only:
            with part("gate", measures, progress):
                gated(config, measures, progress, size=gate.QUICK if given.quick else gate.Size())
        if {"line", "prediction"} & set(given.only):
            with part("lines", measures, progress):
                effort = walks.QUICK if given.quick else walks.Effort()
                walked(config, measures, progress, effort=effort, only=given.only)
    report("load-quick" if given.quick else "load", measures)


def gated(config: EmbeddedConfig, measures: list[Measure], progress: Progress, *, size: gate.Size) -> None:
    """What the gate says, in two shops: one whose runs are kept, and one for releases on trial."""
    release = made(GATED_ITEMS, config, progress)
    with stall(config, progress) as kept, stall(config, progress, f"{NAME}-new") as new:
        for name, measure in gate.parts(kept, new, release, size):
            with part(name, measures, progress):
                measures.extend(measure())


def walked(
    config: EmbeddedConfig,
    measures: list[Measure],
    progress: Progress,
    *,
    effort: walks.Effort,
    only: Sequence[str],
) -> None:
    """Load lines, in a shop of their own."""
    with stall(config, progress) as shop:
        found = walks.Walks(shop=shop, config=config, effort=effort)
        for name, measure in (("line", walks.twice), ("prediction", walks.predicted)):
            if name in only:
                with part(name, measures, progress):
                    measures.extend(measure(found))


@contextmanager
def part(name: str, measures: list[Measure], progress: Progress) -> Iterator[None]:
    """Measure a part; its failure is a miss, and the rest goes on."""
    try:
        with progress.stage(name):
            yield
    except FAILURES as error:
        measures.append(unmeasured(name, error))


if __name__ == "__main__":
    main()
