"""LitServe: `python litserve_server.py MODEL PORT`."""

import sys

import litserve
import numpy as np
import xgboost


class Scorer(litserve.LitAPI):
    """XGBoost in the four methods that LitServe asks for."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model."""
        self.booster = xgboost.Booster(model_file=sys.argv[1])
        self.booster.set_param({"nthread": 1})

    def decode_request(self, request: dict[str, list[list[float]]]) -> np.ndarray:
        """From JSON to a matrix."""
        return np.asarray(request["features"], np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Score one request."""
        scores: np.ndarray = self.booster.inplace_predict(x)
        return scores

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        """From scores to JSON."""
        return {"scores": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scorer(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
