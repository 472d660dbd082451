"""Ask a retriever over gRPC with NVIDIA's client, and print the answer: `grpc_client.py HOST:PORT WIDTH K`.

A process of its own: the client registers its messages under names that others register too.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton


def main(address: str, width: int, k: int) -> None:
    """Print the answers as one JSON object."""
    with triton.InferenceServerClient(address) as client:
        vector = triton.InferInput("user_vector", [width], "FP32")
        vector.set_data_from_numpy(np.linspace(-1, 1, width, dtype=np.float32))
        wanted = triton.InferInput("k", [1], "INT32")
        wanted.set_data_from_numpy(np.array([k], np.int32))
        answer = client.infer("retriever", [vector, wanted], client_timeout=10)
        metadata = client.get_model_metadata("retriever", as_json=True)
        found = {
            "live": client.is_server_live(),
            "ready": client.is_model_ready("retriever"),
            "versions": metadata["versions"],
            "version": answer.get_response().model_version,
            "rows": answer.as_numpy("rows").tolist(),
        }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
