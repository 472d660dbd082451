"""The protocol's codec, alone."""

from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tonnage.serving.protocol import oip
from tonnage.serving.protocol.tensors import DTYPES, ProtocolError

NUMERIC = [dtype for name, dtype in DTYPES.items() if name != "BYTES"]

arrays = st.sampled_from(NUMERIC).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(st.dictionaries(st.text(min_size=1), arrays, max_size=4), st.booleans())
def test_a_request_says_the_same_after_the_wire(tensors, binary):
    body, length = oip.encode_request(tensors, parameters={"k": 3}, binary=binary)
    read = oip.decode_request(body, length)
    assert read.parameters["k"] == 3
    assert list(read.inputs) == list(tensors)
    for name, array in tensors.items():
        assert read.inputs[name].dtype == array.dtype
        if binary or array.dtype.kind != "f":
            np.testing.assert_array_equal(read.inputs[name], array)
        else:
            finite = np.where(np.isfinite(array), array, np.nan).astype(array.dtype)
            np.testing.assert_array_equal(read.inputs[name], finite)


@given(st.lists(st.text(), max_size=5), st.booleans())
def test_strings_travel_as_bytes(words, binary):
    array = np.array([word.encode() for word in words] + [b""], object)[:-1]
    body, length = oip.encode_request({"ids": array}, binary=binary)
    assert oip.decode_request(body, length).inputs["ids"].tolist() == array.tolist()


@given(st.binary(max_size=300), st.none() | st.integers(-5, 400))
def test_wild_bytes_are_refused_not_fatal(body, length):
    """Anything but a ProtocolError would be a 500, or a worker that dies."""
    with suppress(ProtocolError):
        oip.decode_request(body, length)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
tensor_like = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("x") | json_values,
        "datatype": st.sampled_from([*DTYPES, "BF16"]) | json_values,
        "shape": st.lists(st.integers(-2, 2**31), max_size=10) | json_values,
        "data": st.lists(json_values, max_size=4),
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 30)}) | json_values,
    },
)


@given(st.lists(tensor_like, max_size=3), st.binary(max_size=30))
def test_tensors_that_lie_are_refused_not_fatal(inputs, tail):
    """Shapes that overflow, sizes beyond the body, wrong types: one sentence each, never a crash."""
    document = _dumps({"inputs": inputs})
    try:
        read = oip.decode_request(document + tail, len(document))
    except ProtocolError:
        return
    assert len(read.inputs) == len(inputs)


def _dumps(document):
    try:
        return orjson.dumps(document)
    except TypeError:
        return b"{}"


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        ({"name": "x", "datatype": "INT8", "shape": [1], "data": [300]}, "out of the range of INT8"),
        ({"name": "x", "datatype": "FP32", "shape": [1], "data": [1e300]}, "out of the range of FP32"),
        ({"name": "x", "datatype": "INT32", "shape": [1], "data": [True]}, "data is not INT32"),
        ({"name": "x", "datatype": "FP32", "shape": [1], "data": ["1.5"]}, "data is not FP32"),
        ({"name": "x", "datatype": "INT32", "shape": [2], "data": [1]}, "do not agree"),
        ({"name": "x", "datatype": "INT32", "shape": [-1], "data": [1]}, "list of sizes"),
        ({"name": "x", "datatype": "BF16", "shape": [1], "data": [1]}, "unknown datatype"),
        ({"name": "x", "datatype": "INT32", "shape": [1]}, "no data"),
    ],
)
def test_a_wrong_tensor_is_named_with_its_fault(tensor, complaint):
    with pytest.raises(ProtocolError, match=complaint) as raised:
        oip.decode_request(orjson.dumps({"inputs": [tensor]}))
    assert "tensor=x" in str(raised.value)


def test_not_a_number_is_null_in_json():
    body, _ = oip.encode_request({"s": np.array([1, np.nan], np.float32)}, binary=False)
    assert orjson.loads(body)["inputs"][0]["data"] == [1.0, None]
    np.testing.assert_array_equal(oip.decode_request(body).inputs["s"], [1, np.nan])


def test_the_caller_chooses_outputs_and_their_form():
    request = oip.decode_request(
        orjson.dumps(
            {
                "id": "7",
                "inputs": [],
                "outputs": [{"name": "b", "parameters": {"binary_data": True}}, {"name": "a"}],
            }
        )
    )
    outputs = {"a": np.arange(2, dtype=np.int32), "b": np.arange(3, dtype=np.float32), "c": np.zeros(1)}
    body, length = oip.encode_response("m", outputs, request)
    head = orjson.loads(body[:length])
    assert (head["id"], head["model_name"]) == ("7", "m")
    assert [each["name"] for each in head["outputs"]] == ["b", "a"]
    assert head["outputs"][1]["data"] == [0, 1]
    np.testing.assert_array_equal(oip.decode_response(body, length)["b"], outputs["b"])
    with pytest.raises(ProtocolError, match="no such output: z"):
        oip.encode_response("m", outputs, oip.Inference(inputs={}, outputs=["z"]))


def test_a_body_of_brackets_is_refused_before_it_is_parsed():
    """Four megabytes of empty lists are a hundred in Python."""
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[' + b"[]," * 10**6 + b"[]]}]}"
    with pytest.raises(ProtocolError, match="send tensors as bytes"):
        oip.decode_request(body)


def test_commas_among_binary_elements_are_not_counted():
    text = np.frombuffer(b"," * 2**20, np.uint8)
    body, length = oip.encode_request({"x": text})
    assert oip.decode_request(body, length).inputs["x"].size == 2**20


def test_an_output_in_the_form_of_another_extension_is_refused():
    """A client that asked for classes must not take scores for them."""
    outputs = [{"name": "a", "parameters": {"classification": 3}}]
    with pytest.raises(ProtocolError, match="no extension classification"):
        oip.decode_request(orjson.dumps({"inputs": [], "outputs": outputs}))
