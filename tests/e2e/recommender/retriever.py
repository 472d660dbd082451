"""A retriever as other clients of the Open Inference Protocol see it: at its Service, over HTTP."""

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WAIT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever:
    """The retriever of one shop, by the address of its Service."""

    address: str

    def memory(self) -> dict[str, Any]:
        """Its memory plan."""
        return self._ask("/v1/memory")

    def nearest(self, vector: Sequence[float], k: int) -> list[int]:
        """Rows of the items nearest to a user's vector, best first."""
        inputs = [
            {"name": "user_vector", "datatype": "FP32", "shape": [len(vector)], "data": list(vector)},
            {"name": "k", "datatype": "INT32", "shape": [1], "data": [k]},
        ]
        answer = self._ask("/v2/models/retriever/infer", {"inputs": inputs})
        return next(output["data"] for output in answer["outputs"] if output["name"] == "rows")

    def _ask(self, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{self.address}{path}", data=data, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
            found: dict[str, Any] = json.loads(answer.read())
        return found
