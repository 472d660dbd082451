"""Measure canaries: what the judge promises about chance, and rollouts, good and bad, on the cluster.

make measure-canary                              # everything
python loadtests/canary.py --only chance         # some parts
python loadtests/canary.py --quick               # short: proves the scripts alone
"""

import argparse

from drills import chance
from measures import report


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short runs that prove the scripts alone")
    given = parser.parse_args()
    report("canary", chance.measure(pairs=40 if given.quick else 1000, rollouts=20 if given.quick else 200))


if __name__ == "__main__":
    main()
