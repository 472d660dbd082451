"""What every server scores: one XGBoost model and one request's candidates, drawn from a seed."""

from pathlib import Path

import numpy as np

from tonnage.domain import Floats
from tonnage.files import whole_file

ROWS, FEATURES = 200, 30
TREES, DEPTH = 300, 6
SEED = 20


def candidates() -> Floats:
    """One request: float32 [200, 30]."""
    return np.random.default_rng(SEED + 1).normal(size=(ROWS, FEATURES)).astype(np.float32)


def provide(directory: Path) -> Path:
    """The model as UBJSON in `directory`, trained if it is not there."""
    path = directory / f"scorer-{TREES}x{DEPTH}-{FEATURES}.ubj"
    if not path.exists():
        with whole_file(path) as fresh:
            fresh.write_bytes(_trained())
    return path


def _trained() -> bytes:
    import xgboost

    random = np.random.default_rng(SEED)
    features = random.normal(size=(20_000, FEATURES)).astype(np.float32)
    interactions = features[:, :10] * features[:, 10:20]
    label = interactions.sum(axis=1) + np.sin(3 * features[:, 20:]).sum(axis=1) + random.normal(size=20_000)
    matrix = xgboost.QuantileDMatrix(features, label)
    parameters = {"max_depth": DEPTH, "learning_rate": 0.1, "objective": "reg:squarederror", "nthread": 1}
    return bytes(xgboost.train(parameters, matrix, TREES).save_raw("ubj"))
