"""Ten thousand malformed requests through both doors of both models: nothing breaks, nothing grows."""

from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.factories.malformed import Malformed

from tonnage.serving.protocol import oip

REQUESTS = 2500
"""Through each door of each model, after a quarter as many to warm up."""

GROWTH_BYTES = 24 * 2**20
"""What a process may hold more than after the warm-up; one copy of its largest request is 4 MiB."""

INFER = "/inference.GRPCInferenceService/ModelInfer"

TOLD = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@pytest.fixture(params=["ranker", "retriever"])
def model(request, models):
    """One of the two, and a request that it answers."""
    served = getattr(models, request.param)
    if request.param == "ranker":
        width = len(models.release.manifest.features.all)
        return served, "ranker", {"features": np.zeros((8, width), np.float32)}
    rows = np.arange(4, dtype=np.int32)
    return served, "retriever", {"history_rows": rows, "history_weights": np.ones(4, np.float32)}


def private_bytes(served) -> int:
    """Anonymous memory of the process that serves."""
    status = Path(f"/proc/{served.service.process.pid}/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


def assert_answers(served, name, good):
    """A good request is answered as before."""
    body, length = oip.encode_request(good)
    connection = HTTPConnection("127.0.0.1", served.service.port, timeout=30)
    connection.request("POST", f"/v2/models/{name}/infer", body, {oip.HEADER_LENGTH: str(length)})
    assert connection.getresponse().status == 200
    connection.close()


def assert_steady(served, send, warm_up):
    """Send the rest, and compare the memory with that after the warm-up."""
    send(warm_up)
    before = private_bytes(served)
    send(REQUESTS)
    grown = private_bytes(served) - before
    assert grown < GROWTH_BYTES, f"{grown / 2**20:.1f} MiB more"


def test_rest(model):
    served, name, good = model
    malformed = Malformed(7, name, good)
    connection = HTTPConnection("127.0.0.1", served.service.port, timeout=30)
    seen = Counter()

    def send(count):
        for _ in range(count):
            wrong = malformed.rest()
            try:
                connection.request("POST", f"/v2/models/{name}/infer", wrong.body, wrong.headers)
                answer = connection.getresponse()
            except (OSError, HTTPException):
                # Closed by the server, as it may after a body that it did not read.
                connection.close()
                seen["closed"] += 1
                continue
            said = answer.read()
            seen[answer.status] += 1
            assert answer.status in {200, 400, 404, 413, 415, 503}, (wrong, said)
            assert answer.status == 200 or b'"error":' in said

    assert_steady(served, send, REQUESTS // 4)
    connection.close()
    assert seen[400] > REQUESTS / 2
    assert seen["closed"] < REQUESTS / 100
    assert_answers(served, name, good)


def test_grpc(model):
    served, name, good = model
    malformed = Malformed(11, name, good)
    seen = Counter()
    with grpc.insecure_channel(served.grpc_address) as channel:
        infer = channel.unary_unary(INFER)

        def send(count):
            for _ in range(count):
                wrong = malformed.grpc()
                answer = infer.future(wrong, timeout=30)
                code = answer.code()
                seen[code] += 1
                assert code in TOLD, (wrong, answer.details())

        assert_steady(served, send, REQUESTS // 4)
    assert seen[grpc.StatusCode.INVALID_ARGUMENT] > REQUESTS / 2
    assert_answers(served, name, good)
