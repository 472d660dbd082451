"""The messages of the Open Inference Protocol, version 2, in JSON and with the binary tensor extension.

https://github.com/kserve/open-inference-protocol; the extension is the one Triton describes: the length of
the JSON part stands in the header `Inference-Header-Content-Length`, and the tensors follow it in the order
of the JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tonnage.serving.protocol.tensors import (
    DTYPES,
    MAX_DIMENSIONS,
    Array,
    ProtocolError,
    Tensors,
    datatype_of,
    from_bytes,
    from_json,
    to_bytes,
    to_json,
)

HEADER_LENGTH = "inference-header-content-length"


MAX_ELEMENTS = 2**18
"""Commas and opening brackets of a JSON part. The filter of a million items has 125,000 numbers."""

_EXTENSIONS = frozenset({"classification", "shared_memory_region"})
"""Parameters of Triton's other extensions that change what an answer is."""


@dataclass(frozen=True, slots=True)
class Inference:
    """A request to infer.

    Attributes:
        inputs: tensors by name.
        parameters: of the request as a whole.
        outputs: names asked for; empty means all.
        binary: names of the outputs wanted as bytes; None means every one.
        id: of the caller, given back.
    """

    inputs: Tensors
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    binary: frozenset[str] | None = frozenset()
    id: str | None = None


def decode_request(body: bytes, header_length: int | None = None) -> Inference:
    """Read a request.

    Args:
        body: as received.
        header_length: bytes of its JSON part; None when all of it is JSON.

    Raises:
        ProtocolError: what is wrong, and with which tensor.
    """
    document, tail = _split(body, header_length)
    asked = _objects(document, "outputs", required=False)
    parameters = _parameters(document)
    every = parameters.get("binary_data_output") is True
    forms = {_name(each): _parameters(each) for each in asked}
    refuse_extensions(forms)
    binary = frozenset(name for name, form in forms.items() if form.get("binary_data", every) is True)
    identifier = document.get("id")
    return Inference(
        inputs=_tensors(_objects(document, "inputs"), tail),
        parameters=parameters,
        outputs=list(forms),
        binary=None if every and not asked else binary,
        id=None if identifier is None else str(identifier),
    )


def encode_response(
    model: str, outputs: Tensors, request: Inference, *, version: str = "1"
) -> tuple[bytes, int | None]:
    """Write the answer to a request: its body, and the length of the JSON part if bytes follow.

    Raises:
        ProtocolError: the request asks for an output that the model does not have.
    """
    head: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        head["id"] = request.id
    return _join(head, "outputs", wanted(outputs, request), request.binary)


def wanted(outputs: Tensors, request: Inference) -> Tensors:
    """Those of the outputs that a request asks for, in its order.

    Raises:
        ProtocolError: it asks for an output that the model does not have.
    """
    if not request.outputs:
        return outputs
    unknown = [name for name in request.outputs if name not in outputs]
    if unknown:
        raise ProtocolError(f"no such output: {', '.join(unknown)}", hint=f"There are: {', '.join(outputs)}.")
    return {name: outputs[name] for name in request.outputs}


def refuse_extensions(forms: Mapping[str, Mapping[str, Any]]) -> None:
    """Prove that no output is asked for in a form that another extension defines.

    Left aside in silence, a parameter would give a caller scores where it expects classes.

    Args:
        forms: parameters of each output asked for.

    Raises:
        ProtocolError: one is.
    """
    for name, form in forms.items():
        for extension in _EXTENSIONS.intersection(form):
            raise ProtocolError(f"this server has no extension {extension}", output=name)


def encode_request(
    inputs: Tensors, *, parameters: Mapping[str, Any] | None = None, binary: bool = True
) -> tuple[bytes, int | None]:
    """Write a request whose answer comes in the same form: all bytes, or all JSON."""
    head = {"parameters": {**(parameters or {}), "binary_data_output": binary}}
    return _join(head, "inputs", inputs, None if binary else frozenset())


def decode_response(body: bytes, header_length: int | None = None) -> dict[str, Array]:
    """Read the tensors of an answer.

    Raises:
        ProtocolError: what is wrong, and with which tensor.
    """
    document, tail = _split(body, header_length)
    return _tensors(_objects(document, "outputs"), tail)


def _join(
    head: dict[str, Any], key: str, tensors: Tensors, binary: frozenset[str] | None
) -> tuple[bytes, int | None]:
    described: list[dict[str, Any]] = []
    chunks: list[bytes] = []
    for name, array in tensors.items():
        one: dict[str, Any] = {"name": name, "shape": list(array.shape), "datatype": datatype_of(name, array)}
        if binary is None or name in binary:
            chunks.append(to_bytes(array))
            one["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            one["data"] = to_json(array)
        described.append(one)
    document = orjson.dumps({**head, key: described}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([document, *chunks]), len(document)) if chunks else (document, None)


def _split(body: bytes, header_length: int | None) -> tuple[dict[str, Any], memoryview]:
    length = len(body) if header_length is None else header_length
    if not 0 <= length <= len(body):
        raise ProtocolError(f"{HEADER_LENGTH} is {length}, the body has {len(body)} bytes")
    # Each element is an object of Python before anybody looks at it, and a body of brackets thirty times its
    # size; counting runs at the memory's speed.
    elements = sum(body.count(mark, 0, length) for mark in (b",", b"[", b"{"))
    if elements > MAX_ELEMENTS:
        raise ProtocolError("too much JSON; send tensors as bytes", elements=elements, limit=MAX_ELEMENTS)
    try:
        document = orjson.loads(memoryview(body)[:length])
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"the JSON part is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ProtocolError("the JSON part must be an object")
    return document, memoryview(body)[length:]


def _objects(document: Mapping[str, Any], key: str, *, required: bool = True) -> list[dict[str, Any]]:
    found = document.get(key)
    if found is None and not required:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ProtocolError(f"{key} must be a list of objects")
    return found


def _parameters(document: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = document.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ProtocolError("parameters must be an object")
    return parameters


def _name(tensor: Mapping[str, Any]) -> str:
    name = tensor.get("name")
    if not isinstance(name, str) or not name:
        raise ProtocolError("a tensor has no name")
    return name


def _tensors(described: Sequence[Mapping[str, Any]], tail: memoryview) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    start = 0
    for one in described:
        name = _name(one)
        if name in tensors:
            raise ProtocolError("two tensors have the same name", tensor=name)
        datatype, shape = declared(name, one.get("datatype"), one.get("shape"))
        size = _parameters(one).get("binary_data_size")
        if size is None:
            tensors[name] = from_json(name, one.get("data"), datatype, shape)
            continue
        if type(size) is not int or not 0 <= size <= len(tail) - start:
            raise ProtocolError("binary_data_size is not within the body", tensor=name, size=size)
        tensors[name] = from_bytes(name, tail[start : start + size], datatype, shape)
        start += size
    if start != len(tail):
        raise ProtocolError(f"{len(tail) - start} bytes belong to no tensor")
    return tensors


def declared(name: str, datatype: object, shape: object) -> tuple[str, list[int]]:
    """What a tensor says that it is.

    Raises:
        ProtocolError: no known datatype, or no shape.
    """
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise ProtocolError(
            "unknown datatype", tensor=name, datatype=datatype, hint=f"Known: {', '.join(DTYPES)}."
        )
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ProtocolError(
            f"shape must be a list of at most {MAX_DIMENSIONS} sizes", tensor=name, shape=shape
        )
    # A bool is an int in Python; -1 would let numpy guess.
    if not all(type(each) is int and 0 <= each < 2**31 for each in shape):
        raise ProtocolError("shape must be a list of sizes", tensor=name, shape=shape)
    return datatype, shape
