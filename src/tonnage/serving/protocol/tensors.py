"""One tensor of the Open Inference Protocol, as JSON and as bytes.

BYTES elements stand each behind their length as uint32; everything is little endian. NaN has no word in
JSON; it travels as null.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.errors import RequestError

Array = NDArray[Any]

Tensors = Mapping[str, Array]
"""Tensors by name. BYTES is an array of objects, each `bytes`."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    "BYTES": np.dtype("O"),
}
"""numpy's type of each datatype of the protocol. BF16 has none."""

MAX_DIMENSIONS = 8

_PYTHON_TYPES: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "f": frozenset({int, float, type(None)}),
    "O": frozenset({str}),
}
"""What stands in JSON for each kind of numpy's types."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class ProtocolError(RequestError):
    """A message that is not what the protocol says."""

    http_status = 400


def datatype_of(name: str, array: Array) -> str:
    """The protocol's word for an array's type.

    Raises:
        ProtocolError: there is none.
    """
    try:
        return _NAMES[array.dtype if array.dtype.kind == "O" else array.dtype.newbyteorder("<")]
    except KeyError as error:
        raise ProtocolError("the protocol has no such type", tensor=name, dtype=array.dtype) from error


def to_bytes(array: Array) -> bytes:
    """The elements of an array in row-major order, as the binary tensor extension writes them."""
    if array.dtype.kind == "O":
        return b"".join(len(each).to_bytes(4, "little") + each for each in array.ravel().tolist())
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes()


def to_json(array: Array) -> object:
    """The elements of an array in row-major order, as something that orjson writes."""
    if array.dtype.kind == "O":
        return [each.decode("utf-8", "replace") for each in array.ravel().tolist()]
    native = np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, native).ravel()


def from_bytes(name: str, raw: memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """Read a tensor; the result is a read-only view of `raw` where the type allows.

    Raises:
        ProtocolError: the bytes are not a tensor of that type and shape.
    """
    dtype = DTYPES[datatype]
    if dtype.kind == "O":
        return shaped(name, of_objects(list(_elements(name, raw))), shape)
    if len(raw) % dtype.itemsize:
        raise ProtocolError("the bytes end within an element", tensor=name, bytes=len(raw), datatype=datatype)
    if dtype.kind == "b":
        return shaped(name, np.frombuffer(raw, np.uint8) != 0, shape)
    return shaped(name, np.frombuffer(raw, dtype), shape)


def from_json(name: str, data: object, datatype: str, shape: Sequence[int]) -> Array:
    """Read a tensor from a list, flat or nested.

    Raises:
        ProtocolError: the list is not a tensor of that type and shape.
    """
    if not isinstance(data, list):
        raise ProtocolError("no data", tensor=name)
    dtype = DTYPES[datatype]
    flat = _flattened(name, data)
    # One pass in C over thousands of numbers; `isinstance` for each costs more than reading the JSON.
    if not set(map(type, flat)) <= _PYTHON_TYPES[dtype.kind]:
        raise ProtocolError(f"data is not {datatype}", tensor=name)
    if dtype.kind == "O":
        return shaped(name, of_objects([each.encode() for each in flat]), shape)
    try:
        # A number too large for the type must be told, not wrapped or made infinite.
        with np.errstate(over="raise"):
            return shaped(name, np.array(flat, dtype), shape)
    except (OverflowError, FloatingPointError) as error:
        raise ProtocolError(f"a value is out of the range of {datatype}", tensor=name) from error


def _elements(name: str, raw: memoryview) -> Iterator[bytes]:
    position = 0
    while position < len(raw):
        start = position + 4
        end = start + int.from_bytes(raw[position:start], "little")
        if start > len(raw) or end > len(raw):
            raise ProtocolError("an element of BYTES is cut off", tensor=name)
        yield bytes(raw[start:end])
        position = end


def _flattened(name: str, data: list[Any]) -> list[Any]:
    for _ in range(MAX_DIMENSIONS):
        kinds = set(map(type, data))
        if list not in kinds:
            return data
        if kinds != {list}:
            raise ProtocolError("data is nested unevenly", tensor=name)
        data = list(chain.from_iterable(data))
    raise ProtocolError("data is nested too deeply", tensor=name)


def shaped(name: str, flat: Array, shape: Sequence[int]) -> Array:
    """The elements of a tensor in its shape.

    Raises:
        ProtocolError: they are not as many.
    """
    try:
        return flat.reshape(tuple(shape))
    except ValueError as error:
        raise ProtocolError(
            "data and shape do not agree", tensor=name, elements=flat.size, shape=list(shape)
        ) from error


def of_objects(elements: Sequence[bytes]) -> Array:
    """The elements of a BYTES tensor as an array."""
    array = np.empty(len(elements), object)
    array[:] = elements
    return array
