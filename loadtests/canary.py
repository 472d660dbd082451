"""Measure canaries: what the judge promises about chance, and rollouts, good and bad, on the cluster.

    make measure-canary                              # everything: about half an hour on 2 cores
    python loadtests/canary.py --only chance         # some parts
    python loadtests/canary.py --quick --only chance # short: proves the scripts alone

Parts: `chance` simulates rollouts; `sticky`, `moves`, `faults` and `scaling` play on the embedded cluster, in
a shop of their own. What cannot be measured is a miss, with the reason, and the rest goes on. It takes root
(the cluster) and two cores.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping

from drills import chance, faults, moves, scaling, sticky
from drills.scene import Scene, scene
from measures import FAILURES, Measure, report, unmeasured
from shops import running_cluster
from tonnage.telemetry import Progress, Spoken

ON_CLUSTER: Mapping[str, Callable[[Scene], list[Measure]]] = {
    "sticky": sticky.measure,
    "moves": moves.measure,
    "faults": faults.measure,
    "scaling": scaling.measure,
}
PARTS = ("chance", *ON_CLUSTER)


def main() -> None:
    """Measure the parts that are asked for, and report even when one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="which parts")
    parser.add_argument("--quick", action="store_true", help="few simulations: proves the script alone")
    given = parser.parse_args()
    # Whoever ends this ends what it began, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    progress, measures = Spoken(), list[Measure]()
    if "chance" in given.only:
        with progress.stage("simulated rollouts"):
            pairs, rollouts = (40, 20) if given.quick else (1000, 100)
            measures += chance.measure(pairs=pairs, rollouts=rollouts)
    parts = [name for name in ON_CLUSTER if name in given.only]
    if parts:
        measures += on_cluster(parts, progress)
    report("canary-quick" if given.quick else "canary", measures)


def on_cluster(parts: list[str], progress: Progress) -> list[Measure]:
    """Measure these parts in a shop on the embedded cluster."""
    measures = list[Measure]()
    try:
        with running_cluster(progress) as config, scene(config, progress) as shop:
            for name in parts:
                try:
                    shop.calm()
                    measures += ON_CLUSTER[name](shop)
                except FAILURES as error:
                    measures.append(unmeasured(name, error))
    except FAILURES as error:
        measures.append(unmeasured("the embedded cluster", error))
    return measures


if __name__ == "__main__":
    main()
