"""The KServe SDK's clients, REST and gRPC; its import is slow, so both are in one program."""

import asyncio
import sys
from collections.abc import Awaitable

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from tests.integration.serving.clients.speech import Told, say


async def main() -> None:
    rest_ranker, rest_retriever = sys.argv.pop(1), sys.argv.pop(1)
    told = Told.read()
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    ranker, retriever = InferenceGRPCClient(told.ranker), InferenceGRPCClient(told.retriever)
    say(
        live=await rest.is_server_live(rest_ranker) and await ranker.is_server_live(),
        ready=await rest.is_server_ready(rest_ranker)
        and await rest.is_model_ready(rest_ranker, "ranker")
        and await ranker.is_server_ready()
        and await ranker.is_model_ready("ranker"),
        scores={
            "rest json": scores(
                await rest.infer(rest_ranker, asked(told, binary=False), model_name="ranker")
            ),
            "rest binary": scores(
                await rest.infer(rest_ranker, asked(told, binary=True), model_name="ranker")
            ),
            "grpc typed": scores(await ranker.infer(asked(told, binary=False))),
            "grpc raw": scores(await ranker.infer(asked(told, binary=True))),
        },
        items={
            "rest": items(await rest.infer(rest_retriever, history(told), model_name="retriever")),
            "grpc": items(await retriever.infer(history(told))),
        },
        errors={
            "rest": await error_of(rest.infer(rest_ranker, wrong(told), model_name="ranker")),
            "grpc": await error_of(ranker.infer(wrong(told))),
        },
    )
    await ranker.close()
    await retriever.close()


def asked(told: Told, *, binary: bool) -> InferRequest:
    given = InferInput("features", list(told.features.shape), "FP32")
    given.set_data_from_numpy(told.features, binary_data=binary)
    parameters = {"binary_data_output": True} if binary else None
    return InferRequest("ranker", [given], parameters=parameters)


def history(told: Told) -> InferRequest:
    rows = np.array([int(each) - 10000 for each in told.history], np.int32)
    given = InferInput("history_rows", [len(rows)], "INT32")
    given.set_data_from_numpy(rows, binary_data=True)
    return InferRequest("retriever", [given], parameters={"k": 7})


def wrong(told: Told) -> InferRequest:
    given = InferInput("features", [1, 2], "FP32")
    given.set_data_from_numpy(np.zeros((1, 2), np.float32), binary_data=False)
    return InferRequest("ranker", [given])


def scores(answer: object) -> np.ndarray:
    return next(each for each in answer.outputs if each.name == "scores").as_numpy()


def items(answer: object) -> np.ndarray:
    return next(each for each in answer.outputs if each.name == "rows").as_numpy()


async def error_of(call: Awaitable[object]) -> str:
    try:
        await call
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error} {getattr(getattr(error, 'response', None), 'text', '')}"
    return "no error"


if __name__ == "__main__":
    asyncio.run(main())
