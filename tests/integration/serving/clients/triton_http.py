"""`tritonclient.http`: JSON and binary tensors, compression, chosen outputs, errors."""

import numpy as np
from tests.integration.serving.clients.speech import Told, error_of, say
from tritonclient import http as triton


def main() -> None:
    told = Told.read()
    ranker = triton.InferenceServerClient(told.ranker)
    retriever = triton.InferenceServerClient(told.retriever)
    say(
        live=ranker.is_server_live() and retriever.is_server_live(),
        ready=ranker.is_server_ready() and ranker.is_model_ready("ranker"),
        ready_version=ranker.is_model_ready("ranker", told.release),
        other_ready=ranker.is_model_ready("other"),
        server=ranker.get_server_metadata(),
        model=ranker.get_model_metadata("ranker"),
        scores={
            "json": scores(ranker, features(told, binary=False), wanted(binary=False)),
            "binary": scores(ranker, features(told, binary=True), wanted(binary=True)),
            "binary in, json out": scores(ranker, features(told, binary=True), wanted(binary=False)),
            "no outputs named": scores(ranker, features(told, binary=True), None),
            "version": scores(ranker, features(told, binary=True), None, model_version=told.release),
            **{
                coding: scores(
                    ranker, features(told, binary=True), None, request_compression_algorithm=coding
                )
                for coding in ("gzip", "deflate")
            },
            "compressed answer": scores(
                ranker, features(told, binary=True), None, response_compression_algorithm="gzip"
            ),
        },
        nearest=nearest(told, retriever),
        errors=errors(told, ranker, retriever),
    )


def features(told: Told, *, binary: bool) -> list[triton.InferInput]:
    given = triton.InferInput("features", told.features.shape, "FP32")
    given.set_data_from_numpy(told.features, binary_data=binary)
    return [given]


def wanted(*, binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput("scores", binary_data=binary)]


def scores(
    ranker: triton.InferenceServerClient, inputs: list, outputs: list | None, **about: str
) -> np.ndarray:
    return ranker.infer("ranker", inputs, outputs=outputs, **about).as_numpy("scores")


def nearest(told: Told, retriever: triton.InferenceServerClient) -> dict[str, list]:
    """BYTES in and out, several outputs in an order of the caller's, an id that comes back."""
    history = triton.InferInput("history_items", [len(told.history)], "BYTES")
    history.set_data_from_numpy(np.array([each.encode() for each in told.history], object))
    outputs = [triton.InferRequestedOutput(name) for name in ("item_ids", "scores")]
    answer = retriever.infer("retriever", [history], outputs=outputs, request_id="mine", parameters={"k": 7})
    said = answer.get_response()
    return {
        "id": said["id"],
        "order": [each["name"] for each in said["outputs"]],
        "items": [each.decode() for each in answer.as_numpy("item_ids")],
        "scores": answer.as_numpy("scores"),
    }


def errors(told: Told, ranker: triton.InferenceServerClient, retriever: triton.InferenceServerClient) -> dict:
    half = triton.InferInput("features", told.features.shape, "FP16")
    half.set_data_from_numpy(told.features.astype(np.float16))
    flag = triton.InferInput("flag", [1], "BOOL")
    flag.set_data_from_numpy(np.array([True]))
    many = triton.InferRequestedOutput("scores", class_count=3)
    return {
        "datatype": error_of(lambda: ranker.infer("ranker", [half])),
        "unknown input": error_of(lambda: ranker.infer("ranker", [flag])),
        "unknown output": error_of(
            lambda: ranker.infer(
                "ranker", features(told, binary=True), outputs=[triton.InferRequestedOutput("other")]
            )
        ),
        "unknown model": error_of(lambda: ranker.infer("other", features(told, binary=True))),
        "unknown version": error_of(
            lambda: ranker.infer("ranker", features(told, binary=True), model_version="9")
        ),
        "classification": error_of(
            lambda: ranker.infer("ranker", features(told, binary=True), outputs=[many])
        ),
        "repository": error_of(ranker.get_model_repository_index),
        "release": error_of(
            lambda: ranker.infer(
                "ranker", features(told, binary=True), headers={"x-tonnage-release": "r-other"}
            )
        ),
    }


if __name__ == "__main__":
    main()
