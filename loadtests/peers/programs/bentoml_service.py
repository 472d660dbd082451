"""A plain BentoML service, as its documentation begins: `bentoml serve bentoml_service:Scorer`."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(name="scorer", workers=1, logging={"access": {"enabled": False}})
class Scorer:
    """XGBoost behind one typed method."""

    def __init__(self) -> None:
        self.booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self.booster.set_param({"nthread": 1})

    @bentoml.api
    def score(self, features: np.ndarray) -> np.ndarray:
        """Score one request."""
        scores: np.ndarray = self.booster.inplace_predict(np.asarray(features, np.float32))
        return scores
