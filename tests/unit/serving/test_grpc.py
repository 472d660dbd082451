"""The protocol over gRPC: messages to tensors and back, and a real server on this machine."""

import asyncio
import gc
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from grpc import StatusCode, aio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.factories.release import VOCABULARIES, release

from tonnage.errors import ConfigError, DependencyError, NotFoundError
from tonnage.features import ranking
from tonnage.serving.admission.admission import Reason, RefusedError
from tonnage.serving.admission.watching import watched
from tonnage.serving.bodies import TooLargeError
from tonnage.serving.edge import UnforeseenError
from tonnage.serving.environment import Environment
from tonnage.serving.local import free_port
from tonnage.serving.memory.cgroup import Usage
from tonnage.serving.protocol import grpc_codec
from tonnage.serving.protocol import server as server_module
from tonnage.serving.protocol.dataplane import MAX_BODY, ReleaseConflictError, TensorSpec
from tonnage.serving.protocol.grpc_door import status_of
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.protos import message
from tonnage.serving.protocol.server import InferenceServer
from tonnage.serving.protocol.tensors import DTYPES, ProtocolError, datatype_of, to_bytes

REQUEST = "inference.ModelInferRequest"
TYPED = [dtype for name, dtype in DTYPES.items() if name not in ("BYTES", "FP16")]

arrays = st.sampled_from(TYPED).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)


def request_of(tensors, *, raw):
    sent = message(REQUEST)(model_name="adder")
    for name, array in tensors.items():
        one = sent.inputs.add(name=name, datatype=datatype_of(name, array), shape=array.shape)
        if raw:
            sent.raw_input_contents.append(to_bytes(array))
        else:
            field = grpc_codec.CONTENTS[datatype_of(name, array)]
            getattr(one.contents, field).extend(array.ravel().tolist())
    return sent


@given(st.dictionaries(st.text(min_size=1), arrays, max_size=3), st.booleans())
def test_tensors_are_the_same_after_the_wire(tensors, raw):
    wire = request_of(tensors, raw=raw).SerializeToString()
    read = grpc_codec.decode_request(message(REQUEST).FromString(wire))
    assert list(read.inputs) == list(tensors)
    for name, array in tensors.items():
        assert read.inputs[name].dtype == array.dtype
        np.testing.assert_array_equal(read.inputs[name], array)
    answer = grpc_codec.encode_response("adder", tensors, read, version="r")
    assert len(answer.raw_output_contents) == (len(tensors) if raw else 0)
    # What comes out has the form of what goes in.
    again = message(REQUEST)(raw_input_contents=answer.raw_output_contents)
    for output in answer.outputs:
        again.inputs.add().MergeFromString(output.SerializeToString())
    for name, array in grpc_codec.decode_request(again).inputs.items():
        np.testing.assert_array_equal(array, tensors[name])


def test_strings_and_parameters_are_read():
    sent = message(REQUEST)(id="7")
    sent.inputs.add(name="ids", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b""])
    sent.parameters["k"].int64_param = 5
    sent.parameters["explain"].bool_param = True
    read = grpc_codec.decode_request(sent)
    assert read.inputs["ids"].tolist() == [b"a", b""]
    assert (read.parameters, read.id) == ({"k": 5, "explain": True}, "7")


def _wrong(**about):
    sent = message(REQUEST)(raw_input_contents=about.pop("raw", []))
    contents = about.pop("contents", {})
    one = sent.inputs.add(**{"name": "x", "datatype": "INT32", "shape": [1], **about})
    for field, values in contents.items():
        getattr(one.contents, field).extend(values)
    return sent


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (_wrong(contents={"fp32_contents": [1.0]}), "INT32 belongs into int_contents"),
        (_wrong(contents={"int_contents": [1, 2]}), "do not agree"),
        (_wrong(datatype="INT8", contents={"int_contents": [300]}), "out of the range of INT8"),
        (_wrong(datatype="FP16", contents={"fp32_contents": [1.0]}), "send it raw"),
        (_wrong(datatype="BF16"), "unknown datatype"),
        (_wrong(shape=[-1], contents={"int_contents": [1]}), "list of sizes"),
        (_wrong(shape=[2**31 - 1] * 8), "do not agree"),
        (_wrong(raw=[b"1234", b"5678"]), "1 inputs and 2 raw_input_contents"),
        (_wrong(raw=[b"12345"]), "end within an element"),
        (_wrong(raw=[b"1234"], contents={"int_contents": [1]}), "contents beside raw_input_contents"),
        (_wrong(name=""), "no name"),
    ],
)
def test_a_wrong_message_is_told_its_fault(sent, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        grpc_codec.decode_request(sent)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProtocolError("x"), StatusCode.INVALID_ARGUMENT),
        (NotFoundError("x"), StatusCode.NOT_FOUND),
        (ReleaseConflictError("x"), StatusCode.FAILED_PRECONDITION),
        (TooLargeError("x"), StatusCode.RESOURCE_EXHAUSTED),
        (RefusedError(Reason.QUEUE), StatusCode.RESOURCE_EXHAUSTED),
        (RefusedError(Reason.MEMORY), StatusCode.RESOURCE_EXHAUSTED),
        (RefusedError(Reason.DEADLINE), StatusCode.DEADLINE_EXCEEDED),
        (DependencyError("x"), StatusCode.UNAVAILABLE),
        (UnforeseenError("x"), StatusCode.INTERNAL),
    ],
)
def test_each_error_has_a_status(error, code):
    assert status_of(error) is code


class Adder:
    """Adds one."""

    inputs = (TensorSpec("x", "INT32"),)
    outputs = (TensorSpec("y", "INT32"),)

    def infer(self, request: Inference):
        return {"y": request.inputs["x"] + 1}

    def warm_up(self):
        pass


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return release(root, names=ranking.names(VOCABULARIES), vocabularies=VOCABULARIES).directory


@pytest.fixture
def full(monkeypatch):
    """The memory of the server below is full, however often it looks."""
    told = Usage(current=1, working_set=1, needed=1, limit=1)
    monkeypatch.setattr(server_module, "watched", partial(watched, memory=lambda: told))


@pytest.fixture
async def server(directory):
    environment = Environment(release_dir=directory, grpc_port=free_port())
    made = InferenceServer("adder", lambda *_: Adder(), environment)
    async with made.app.router.lifespan_context(made.app):
        yield made


@pytest.fixture
async def call(server):
    """Calls one method with a message, or with bytes that are none."""
    async with aio.insecure_channel(f"127.0.0.1:{server._environment.grpc_port}") as channel:

        async def one(method, sent=b"", service="inference.GRPCInferenceService", **about):
            body = sent if isinstance(sent, bytes) else sent.SerializeToString()
            return await channel.unary_unary(f"/{service}/{method}")(body, timeout=30, **about)

        yield one


def question(*numbers):
    return request_of({"x": np.array(numbers, np.int32)}, raw=True)


async def test_the_server_and_the_model_say_what_they_are(call, directory):
    assert message("inference.ServerLiveResponse").FromString(await call("ServerLive")).live
    assert message("inference.ServerReadyResponse").FromString(await call("ServerReady")).ready
    server = message("inference.ServerMetadataResponse").FromString(await call("ServerMetadata"))
    assert server.name == "tonnage-adder"
    asked = message("inference.ModelMetadataRequest")(name="adder")
    model = message("inference.ModelMetadataResponse").FromString(await call("ModelMetadata", asked))
    assert list(model.versions) == [directory.name]
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [("x", "INT32", [-1])]
    health = await call("Check", service="grpc.health.v1.Health")
    assert message("grpc.health.v1.HealthCheckResponse").FromString(health).status == 1


async def test_a_question_is_answered(call):
    answer = message("inference.ModelInferResponse").FromString(await call("ModelInfer", question(1, 2)))
    assert answer.outputs[0].name == "y"
    assert np.frombuffer(answer.raw_output_contents[0], "<i4").tolist() == [2, 3]


@pytest.mark.parametrize(
    ("sent", "metadata", "code"),
    [
        (b"\xff\xff not a message", (), StatusCode.INVALID_ARGUMENT),
        (message(REQUEST)(model_name="other"), (), StatusCode.NOT_FOUND),
        (message(REQUEST)(model_name="adder", model_version="r-0"), (), StatusCode.NOT_FOUND),
        (message(REQUEST)(model_name="adder"), (), StatusCode.INTERNAL),
        (question(1), (("x-tonnage-release", "r-0"),), StatusCode.FAILED_PRECONDITION),
        (question(1), (("x-tonnage-deadline-ms", "0"),), StatusCode.DEADLINE_EXCEEDED),
        (question(1), (("x-tonnage-deadline-ms", "soon"),), StatusCode.INVALID_ARGUMENT),
        (bytes(MAX_BODY + 1), (), StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_errors_are_statuses(call, sent, metadata, code):
    """`Adder` trips over a missing input: its caller hears INTERNAL, and the next is served."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call("ModelInfer", sent, metadata=metadata)
    assert raised.value.code() is code
    assert await call("ModelInfer", question(1))


@pytest.mark.usefixtures("full")
async def test_a_refusal_says_when_to_come_again(call):
    with pytest.raises(aio.AioRpcError) as raised:
        await call("ModelInfer", question(1))
    assert raised.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert dict(raised.value.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
    assert await call("Check", service="grpc.health.v1.Health")


async def test_calls_are_counted_like_requests(call, server):
    await call("ModelInfer", question(1))
    metrics = server._plane.running.metrics.render().decode()
    assert 'route="/inference.GRPCInferenceService/ModelInfer"' in metrics
    assert 'status="OK"' in metrics


@pytest.mark.parametrize("sent", [b"\xff", message(REQUEST)(model_name="other"), question(1)])
async def test_a_call_leaves_no_cycle_behind(call, sent):
    """The collector comes every few seconds: until then a cycle would keep what the call sent."""

    async def ask(times):
        for _ in range(times):
            with suppress(aio.AioRpcError):
                await call("ModelInfer", sent, metadata=())

    await ask(5)
    gc.collect()
    kept = gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await ask(40)
        gc.collect()
        bodies = [each for each in gc.garbage if type(each).__module__.startswith("tonnage")]
    finally:
        gc.set_debug(kept)
        gc.garbage.clear()
    assert not bodies


async def test_workers_share_the_port(directory, server):
    """Several processes listen on one port, so a second server on it is no error."""
    second = InferenceServer("adder", lambda *_: Adder(), server._environment)
    async with second.app.router.lifespan_context(second.app):
        assert second.is_ready()


async def test_a_port_that_somebody_else_has_is_told(directory):
    listener = await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)  # noqa: S104
    port = listener.sockets[0].getsockname()[1]
    server = InferenceServer("adder", lambda *_: Adder(), Environment(release_dir=directory, grpc_port=port))
    async with listener:
        with pytest.raises(ConfigError, match="port for gRPC is taken"):
            async with server.app.router.lifespan_context(server.app):
                pass


async def test_a_call_in_flight_is_finished_when_the_service_stops(directory):
    environment = Environment(release_dir=directory, grpc_port=free_port())
    server = InferenceServer("adder", lambda *_: Adder(), environment)
    async with aio.insecure_channel(f"127.0.0.1:{environment.grpc_port}") as channel:
        async with server.app.router.lifespan_context(server.app):
            admission = server._plane.admission
            with admission.enter() as turn:
                await turn.begin()
                method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
                waiting = asyncio.ensure_future(method(question(1).SerializeToString(), timeout=30))
                async with asyncio.timeout(10):
                    while admission.queued == 0:
                        await asyncio.to_thread(lambda: None)
        assert await waiting
