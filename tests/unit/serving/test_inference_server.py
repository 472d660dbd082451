"""One model behind the protocol, without a network: the path of a request, and what a model may add."""

import asyncio
import gc
import gzip

import numpy as np
import orjson
import pytest
from prometheus_client import Counter
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.factories.release import VOCABULARIES, release

from tonnage.features import ranking
from tonnage.serving.environment import Environment
from tonnage.serving.protocol import oip
from tonnage.serving.protocol.dataplane import TensorSpec
from tonnage.serving.protocol.server import InferenceServer
from tonnage.serving.protocol.tensors import ProtocolError

INFER = "/v2/models/adder/infer"


class Adder:
    """Adds one to what it is given; several requests at once where they wait together."""

    inputs = (TensorSpec("x", "INT32"),)
    outputs = (TensorSpec("y", "INT32"),)
    together = 4

    def __init__(self):
        self.calls = []
        self.asked = None

    def infer(self, request):
        (answer,) = self.infer_together([request])
        return answer

    def infer_together(self, requests):
        self.calls.append(len(requests))
        return [
            ProtocolError("x is missing") if "x" not in each.inputs else {"y": each.inputs["x"] + 1}
            for each in requests
        ]

    def warm_up(self):
        self.calls.clear()

    def routes(self):
        async def extra(_request):
            return PlainTextResponse("extra")

        return [Route("/v1/extra", extra)]

    def observe(self, metrics):
        self.asked = Counter("adder_asked", "Questions.", list(metrics.labels), registry=metrics.registry)
        self.asked.labels(**metrics.labels).inc()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return release(root, names=ranking.names(VOCABULARIES), vocabularies=VOCABULARIES).directory


@pytest.fixture
def model():
    return Adder()


@pytest.fixture
async def app(directory, model):
    server = InferenceServer("adder", lambda *_: model, Environment(release_dir=directory))
    async with server.app.router.lifespan_context(server.app):
        yield server.app


async def call(app, path, body=None, method="POST", **headers):
    """One request: status, headers and body of the answer."""
    sent, told = [], False

    async def receive():
        nonlocal told
        if told:
            return {"type": "http.disconnect"}
        told = True
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message):
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
    await app({**scope, "root_path": ""}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:])


def question(*numbers, binary=True):
    body, length = oip.encode_request({"x": np.array(numbers, np.int32)}, binary=binary)
    return body, {"inference_header_content_length": str(length)} if length else {}


async def ask(app, *numbers, path=INFER, **headers):
    body, own = question(*numbers)
    return await call(app, path, body, **own, **headers)


async def test_a_question_is_answered(app, directory):
    status, headers, body = await ask(app, 1, 2)
    assert status == 200
    assert headers[b"x-tonnage-release"].decode() == directory.name
    read = oip.decode_response(body, int(headers[b"inference-header-content-length"]))
    assert read["y"].tolist() == [2, 3]


async def test_questions_that_wait_at_the_same_time_are_computed_in_one_call(app, model):
    answers = await asyncio.gather(*(ask(app, number) for number in range(6)))
    assert [status for status, _, _ in answers] == [200] * 6
    assert sum(model.calls) == 6
    assert max(model.calls) == model.together


async def test_one_wrong_question_does_not_spoil_the_others(app):
    wrong = oip.encode_request({})[0]
    answers = await asyncio.gather(ask(app, 1), call(app, INFER, wrong), ask(app, 3))
    assert [status for status, _, _ in answers] == [200, 400, 200]


async def test_a_model_that_breaks_fails_its_callers_not_the_service(app, model):
    """A future that nobody resolves would keep its caller, and a place, for ever."""
    model.infer_together = lambda _requests: 1 / 0
    answers = await asyncio.gather(ask(app, 1), ask(app, 2))
    assert [status for status, _, _ in answers] == [500, 500]
    del model.infer_together
    assert (await ask(app, 1))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "status", "says"),
    [
        (INFER, {"x_tonnage_release": "r-other"}, 409, "the call is for r-other"),
        ("/v2/models/adder/versions/r-other/infer", {}, 404, "no version r-other"),
        ("/v2/models/other/infer", {}, 404, "there is no /v2/models/other/infer"),
        ("/v2/repository/index", {}, 404, "there is no"),
        (INFER, {"content_length": "5000000"}, 413, "too large"),
        (INFER, {"content_encoding": "br"}, 415, "content-encoding"),
        (INFER, {"x_tonnage_deadline_ms": "0"}, 503, "deadline"),
        (INFER, {"x_tonnage_deadline_ms": "later"}, 400, "not a number"),
    ],
)
async def test_what_is_not_for_this_service_is_told(app, path, headers, status, says):
    answered, _, body = await ask(app, 1, path=path, **headers)
    assert answered == status
    assert says in orjson.loads(body)["error"]


async def test_the_release_is_a_version_of_the_model(app, directory):
    path = f"/v2/models/adder/versions/{directory.name}/infer"
    assert (await ask(app, 1, path=path))[0] == 200
    assert (await call(app, INFER, method="GET"))[0] == 405


async def test_unknown_inputs_are_named(app):
    body, length = oip.encode_request({"x": np.zeros(1, np.int32), "z": np.zeros(1)})
    status, _, said = await call(app, INFER, body, inference_header_content_length=str(length))
    assert status == 400
    assert "no such input: z" in orjson.loads(said)["error"]


async def test_compressed_questions_are_read(app):
    """The length in the header is that of the JSON before it was compressed."""
    body, own = question(1, 2)
    assert (await call(app, INFER, gzip.compress(body), content_encoding="gzip", **own))[0] == 200


async def test_a_model_adds_paths_and_metrics_of_its_own(app):
    assert (await call(app, "/v1/extra", method="GET"))[2] == b"extra"
    metrics = (await call(app, "/metrics", method="GET"))[2].decode()
    assert "adder_asked_total{" in metrics
    assert 'route="/v1/extra"' in metrics


async def test_refusals_are_counted_by_reason(app):
    for _ in range(3):
        await ask(app, 1, x_tonnage_deadline_ms="-1")

    async def counted():
        lines = (await call(app, "/metrics", method="GET"))[2].decode().splitlines()
        own = {line.partition("{")[0] for line in lines if line.startswith("tonnage_admission_")}
        late = [line for line in lines if 'reason="deadline"' in line and "_total" in line]
        return own, [float(line.rpartition(" ")[2]) for line in late]

    async with asyncio.timeout(10):
        while (await counted())[1] != [3.0]:
            await asyncio.to_thread(lambda: None)
    assert {"tonnage_admission_limit", "tonnage_admission_queued"} <= (await counted())[0]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (INFER, b"{", {}),
        (INFER, oip.encode_request({})[0], {}),
        (INFER, b"{}", {"x_tonnage_deadline_ms": "0"}),
        (INFER, b"{}", {"content_encoding": "gzip"}),
        (INFER, *question(1)),
    ],
    ids=["not JSON", "refused by the model", "not let in", "not compressed", "answered"],
)
async def test_a_request_leaves_no_cycle_behind(app, path, body, headers):
    """The collector comes every few seconds: until then a cycle would keep its request's body, thousands."""
    for _ in range(3):
        await call(app, path, body, **headers)
    gc.collect()
    for _ in range(50):
        await call(app, path, body, **headers)
    assert gc.collect() < 50


async def test_a_service_that_has_not_started_says_so(directory):
    server = InferenceServer("adder", lambda *_: Adder(), Environment(release_dir=directory))
    assert (await ask(server.app, 1))[0] == 503
    assert (await call(server.app, "/v2/health/ready", method="GET"))[0] == 503
