"""`tritonclient.grpc`: raw tensors, chosen outputs, deadlines, errors."""

import numpy as np
from tests.integration.serving.clients.speech import Told, error_of, say
from tritonclient import grpc as triton


def main() -> None:
    told = Told.read()
    ranker = triton.InferenceServerClient(told.ranker)
    retriever = triton.InferenceServerClient(told.retriever)
    half = triton.InferInput("features", told.features.shape, "FP16")
    half.set_data_from_numpy(told.features.astype(np.float16))
    many = triton.InferRequestedOutput("scores", class_count=3)
    say(
        live=ranker.is_server_live() and retriever.is_server_live(),
        ready=ranker.is_server_ready() and ranker.is_model_ready("ranker", told.release),
        server=ranker.get_server_metadata(as_json=True),
        model=ranker.get_model_metadata("ranker", as_json=True),
        scores={
            "all": ranker.infer("ranker", features(told)).as_numpy("scores"),
            "chosen": ranker.infer(
                "ranker", features(told), outputs=[triton.InferRequestedOutput("scores")]
            ).as_numpy("scores"),
            "gzip": ranker.infer("ranker", features(told), compression_algorithm="gzip").as_numpy("scores"),
        },
        nearest=nearest(told, retriever),
        errors={
            "datatype": error_of(lambda: ranker.infer("ranker", [half])),
            "unknown output": error_of(
                lambda: ranker.infer("ranker", features(told), outputs=[triton.InferRequestedOutput("other")])
            ),
            "unknown model": error_of(lambda: ranker.infer("other", features(told))),
            "unknown version": error_of(lambda: ranker.infer("ranker", features(told), model_version="9")),
            "classification": error_of(lambda: ranker.infer("ranker", features(told), outputs=[many])),
            "repository": error_of(ranker.get_model_repository_index),
            "release": error_of(
                lambda: ranker.infer("ranker", features(told), headers={"x-tonnage-release": "r-other"})
            ),
            "deadline": error_of(
                lambda: ranker.infer("ranker", features(told), headers={"x-tonnage-deadline-ms": "0"})
            ),
        },
    )


def features(told: Told) -> list[triton.InferInput]:
    given = triton.InferInput("features", told.features.shape, "FP32")
    given.set_data_from_numpy(told.features)
    return [given]


def nearest(told: Told, retriever: triton.InferenceServerClient) -> dict[str, object]:
    history = triton.InferInput("history_items", [len(told.history)], "BYTES")
    history.set_data_from_numpy(np.array([each.encode() for each in told.history], object))
    outputs = [triton.InferRequestedOutput(name) for name in ("item_ids", "scores")]
    answer = retriever.infer("retriever", [history], outputs=outputs, request_id="mine", parameters={"k": 7})
    said = answer.get_response()
    return {
        "id": said.id,
        "order": [each.name for each in said.outputs],
        "items": [each.decode() for each in answer.as_numpy("item_ids")],
        "scores": answer.as_numpy("scores"),
    }


if __name__ == "__main__":
    main()
