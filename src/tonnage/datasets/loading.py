"""From a configuration to three tables, whatever the source."""

from pathlib import Path

from tonnage.datasets.config import DatasetConfig
from tonnage.datasets.tables import Loaded
from tonnage.telemetry import Progress


def load(config: DatasetConfig, *, root: Path = Path(), progress: Progress) -> Loaded:
    """Read, clean and validate the dataset that `config` names.

    Args:
        config: `[dataset]` of `tonnage.toml`.
        root: what relative paths in it are relative to: the directory of `tonnage.toml`.
        progress: told where the rows come from.

    Raises:
        DataError: a file breaks the contract; the message names file, column, rows and what to do.
        DependencyError: Online Retail is neither here nor cached, and UCI cannot be reached.
    """
    if config.source == "simulator":
        from tonnage.datasets.simulator import Simulator

        progress.say(f"simulating {config.simulator.users:,} users and {config.simulator.items:,} items")
        return Simulator(config.simulator).tables(replay=config.replay)
    if config.source == "tables" and config.interactions is not None:
        from tonnage.datasets import mapped

        progress.say(f"reading {config.interactions.path}")
        return mapped.tables(config.interactions, config.items, config.users, root=root, replay=config.replay)
    from tonnage.datasets import obtaining, online_retail

    raw, origin = obtaining.online_retail(config, root=root, progress=progress)
    return online_retail.tables(raw, origin=origin, replay=config.replay)
