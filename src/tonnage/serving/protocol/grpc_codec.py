"""The protocol's messages over gRPC, from and to the same `Inference` and tensors as over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tonnage.serving.protocol.oip import Inference, declared, refuse_extensions, wanted
from tonnage.serving.protocol.protos import message
from tonnage.serving.protocol.tensors import (
    DTYPES,
    Array,
    ProtocolError,
    Tensors,
    datatype_of,
    from_bytes,
    of_objects,
    shaped,
    to_bytes,
)

CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Field of `InferTensorContents` for each datatype; FP16 has none and travels raw."""


def decode_request(sent: Any) -> Inference:
    """Read a `ModelInferRequest`. Its answer goes the way that its inputs came: raw, or in typed fields.

    Raises:
        ProtocolError: what is wrong, and with which tensor.
    """
    raw = sent.raw_input_contents
    if raw and len(raw) != len(sent.inputs):
        raise ProtocolError(f"there are {len(sent.inputs)} inputs and {len(raw)} raw_input_contents")
    refuse_extensions({each.name: each.parameters for each in sent.outputs})
    tensors: dict[str, Array] = {}
    for place, one in enumerate(sent.inputs):
        if not one.name:
            raise ProtocolError("a tensor has no name")
        if one.name in tensors:
            raise ProtocolError("two tensors have the same name", tensor=one.name)
        tensors[one.name] = _tensor(one, raw[place] if raw else None)
    return Inference(
        inputs=tensors,
        parameters={name: _parameter(value) for name, value in sent.parameters.items()},
        outputs=[each.name for each in sent.outputs],
        binary=None if raw else frozenset(),
        id=sent.id or None,
    )


def encode_response(model: str, outputs: Tensors, request: Inference, *, version: str) -> Any:
    """Write a `ModelInferResponse`.

    Raises:
        ProtocolError: the request asks for an output that the model does not have.
    """
    answer = message("inference.ModelInferResponse")(
        model_name=model, model_version=version, id=request.id or ""
    )
    for name, array in wanted(outputs, request).items():
        datatype = datatype_of(name, array)
        one = answer.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if request.binary is None or datatype not in CONTENTS:
            answer.raw_output_contents.append(to_bytes(array))
        else:
            getattr(one.contents, CONTENTS[datatype]).extend(array.ravel().tolist())
    return answer


def _tensor(one: Any, raw: bytes | None) -> Array:
    datatype, shape = declared(one.name, one.datatype, list(one.shape))
    if raw is not None:
        if one.HasField("contents"):
            raise ProtocolError("contents beside raw_input_contents", tensor=one.name)
        return from_bytes(one.name, memoryview(raw), datatype, shape)
    field = CONTENTS.get(datatype)
    if field is None:
        raise ProtocolError(f"{datatype} has no typed contents; send it raw", tensor=one.name)
    others = [found.name for found, _ in one.contents.ListFields() if found.name != field]
    if others:
        raise ProtocolError(f"{datatype} belongs into {field}", tensor=one.name, found=", ".join(others))
    return _typed(one.name, getattr(one.contents, field), datatype, shape)


def _typed(name: str, values: Sequence[Any], datatype: str, shape: Sequence[int]) -> Array:
    if datatype == "BYTES":
        return shaped(name, of_objects(list(values)), shape)
    try:
        return shaped(name, np.array(list(values), DTYPES[datatype]), shape)
    except OverflowError as error:
        raise ProtocolError(f"a value is out of the range of {datatype}", tensor=name) from error


def _parameter(value: Any) -> object:
    chosen = value.WhichOneof("parameter_choice")
    return getattr(value, chosen) if chosen else None
