"""From a configuration to three tables, whatever the source."""

from pathlib import Path

import pandas as pd

from tonnage.datasets import online_retail
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
    path = root / config.path
    progress.say(f"{config.path}")
    return online_retail.tables(pd.read_parquet(path), origin=str(config.path))
