"""The ranker's own process with another model in it: `python tonnage_server.py MODEL PORT`.

`bentoml serve` of the ranker hands its process over to `tonnage.serving.host`; this begins there. A release's
own ranker has the columns that `tonnage.features.ranking` defines; here it is one that all peers have.
"""

import sys
from pathlib import Path

import numpy as np

from tonnage.releases.release import Release
from tonnage.serving import host, ranker
from tonnage.serving.environment import Environment
from tonnage.serving.protocol.oip import Inference


class Scorer(ranker.Ranker):
    """The ranker, asked with assembled features alone."""

    @classmethod
    def load(cls, release: Release, environment: Environment) -> "Scorer":  # noqa: ARG003
        """The model of the comparison, beside the item features of a release."""
        booster = ranker.load_booster(Path(sys.argv[1]), threads=1)
        rows = np.full(len(release.items), -1, np.int32)
        return cls(booster=booster, item_features=release.item_features, categories=rows, n_user=0)

    def warm_up(self) -> None:
        """Predict a few times."""
        features = np.zeros((200, self._width), np.float32)
        for _ in range(3):
            self.infer(Inference(inputs={ranker.OWN: features}))


if __name__ == "__main__":
    # The host takes the ranker's class by its name.
    ranker.Ranker = Scorer  # type: ignore[misc]
    host.main("ranker", host.Listening(host="127.0.0.1", port=int(sys.argv[2]), timeout_keep_alive=75))
