"""The KServe SDK's model server: `python kserve_server.py MODEL --http_port PORT ...`."""

import sys

import xgboost
from kserve import InferRequest, InferResponse, Model, ModelServer
from kserve.logging import KSERVE_LOG_CONFIG
from kserve.protocol.infer_type import InferOutput


class Scorer(Model):
    """XGBoost behind the SDK's own types."""

    def __init__(self, path: str) -> None:
        super().__init__("scorer")
        self.booster = xgboost.Booster(model_file=path)
        self.booster.set_param({"nthread": 1})
        self.ready = True

    async def predict(
        self,
        payload: InferRequest,
        headers: object = None,  # noqa: ARG002
        response_headers: object = None,  # noqa: ARG002
    ) -> InferResponse:
        """Score one request."""
        scores = self.booster.inplace_predict(payload.inputs[0].as_numpy())
        output = InferOutput(name="scores", shape=list(scores.shape), datatype="FP32")
        output.set_data_from_numpy(scores, binary_data=bool(payload.use_binary_outputs))
        return InferResponse(
            response_id=payload.id or "none",  # one must be given
            model_name=self.name,
            infer_outputs=[output],
            use_binary_outputs=bool(payload.use_binary_outputs),
        )


if __name__ == "__main__":
    # No server here writes a line per request.
    KSERVE_LOG_CONFIG["loggers"]["uvicorn.access"]["level"] = "WARNING"
    ModelServer(enable_latency_logging=False).start([Scorer(sys.argv[1])])
