"""Requests that no honest client sends, from a seed: each is a good one with something wrong in it."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from tonnage.serving.protocol import oip
from tonnage.serving.protocol.protos import message
from tonnage.serving.protocol.tensors import DTYPES, Array, datatype_of, to_bytes

ODD_NUMBERS = (0, -1, 1, 7, 2**31 - 1, 2**31, 2**62, 2**63 - 1, 10_001, 1_000_000_000)
ODD_VALUES: tuple[Any, ...] = (*ODD_NUMBERS, None, True, 1e308, 0.5, "", "many", [], [[1]], {}, {"a": 1})
ODD_SHAPES: tuple[Any, ...] = (
    [],
    [0],
    [-1],
    [2**31 - 1] * 4,
    [2**31 - 1] * 8,
    [2**62, 4],
    [1] * 9,
    [1] * 33,
    [3, 0, 2**31 - 1],
    [1.5],
    ["2"],
    None,
    "12",
    [[2]],
)

BOMB = gzip.compress(bytes(2**26))


@dataclass
class Rest:
    """A request over HTTP."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Malformed:
    """Makes requests for one model.

    Args:
        seed: the same seed, the same requests.
        model: retriever or ranker.
        good: inputs of a request that the model answers.
    """

    def __init__(self, seed: int, model: str, good: Mapping[str, Array]) -> None:
        self._random = np.random.default_rng(seed)
        self._model, self._good = model, good

    def rest(self) -> Rest:
        """The next request over HTTP."""
        return self._choose(
            self._lying_document,
            self._lying_document,
            self._lying_length,
            self._other_tensors,
            self._flipped,
            self._cut,
            self._noise,
            self._deep,
            self._compressed,
        )()

    def grpc(self) -> bytes:
        """The next message over gRPC."""
        sent = self._lying_message()
        body: bytes = sent.SerializeToString()
        match self._random.integers(6):
            case 0:
                return self._flip(body)
            case 1:
                return body[: self._random.integers(len(body) + 1)]
            case 2:
                return self._random.bytes(int(self._random.integers(400)))
        return body

    def _choose(self, *options: Any) -> Any:
        return options[self._random.integers(len(options))]

    def _odd_array(self, array: Array) -> Array:
        match self._random.integers(5):
            case 0:
                return array.astype(self._choose(*(each for each in DTYPES.values() if each.kind != "O")))
            case 1 if array.dtype.kind == "f":
                odd = array.copy()
                odd.flat[:: self._random.integers(1, 4)] = self._choose(np.nan, np.inf, -np.inf, 3e38)
                return odd
            case 2 if array.dtype.kind == "i":
                odd = array.copy()
                odd.flat[: self._random.integers(1, 4)] = self._choose(-1, 2**31 - 1, -(2**31), 10**6)
                return odd
            case 3:
                return array.ravel()[: self._random.integers(array.size + 1)]
        return array

    def _tensors(self) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return {name: self._odd_array(array) for name, array in self._good.items()}

    def _encoded(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Any], bytes]:
        binary = bool(self._random.integers(2))
        body, length = oip.encode_request(inputs, binary=binary)
        return orjson.loads(body[:length]), body[length:] if length else b""

    def _joined(self, document: object, tail: bytes) -> Rest:
        head = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
        return Rest(head + tail, {oip.HEADER_LENGTH: str(len(head))} if tail else {})

    def _lying_document(self) -> Rest:
        document, tail = self._encoded(self._tensors())
        tensor = self._choose(*document["inputs"])
        lies: list[Callable[[], Any]] = [
            lambda: tensor.update(shape=self._choose(*ODD_SHAPES)),
            lambda: tensor.update(datatype=self._choose(*DTYPES, "BF16", "", None, 7)),
            lambda: tensor.update(name=self._choose("other", "", None, 3, "x" * 10_000, *self._good)),
            lambda: tensor.update(
                data=self._choose(*ODD_VALUES, [None], [True], [1e400], ["a", 1], [[1], 2])
            ),
            lambda: tensor.update(parameters={"binary_data_size": self._choose(*ODD_VALUES)}),
            lambda: document.update(parameters=self._choose({"k": self._choose(*ODD_VALUES)}, *ODD_VALUES)),
            lambda: document.update(outputs=self._choose([{"name": "no"}], [{}], [1], *ODD_VALUES)),
            lambda: document.update(inputs=self._choose([tensor, tensor], [1], *ODD_VALUES)),
            lambda: document.update(id=self._choose(*ODD_VALUES)),
            lambda: tensor.pop(self._choose("name", "datatype", "shape"), None),
        ]
        for _ in range(self._random.integers(1, 3)):
            self._choose(*lies)()
        return self._joined(document, tail)

    def _lying_length(self) -> Rest:
        request = self._joined(*self._encoded(self._tensors()))
        size = len(request.body)
        lie = self._choose(0, 1, size - 1, size, size + 1, 2**31, 10**11, 10**30, -1, "x", "", "1e3", "+5")
        return Rest(request.body, {oip.HEADER_LENGTH: str(lie)})

    def _other_tensors(self) -> Rest:
        others = {
            self._choose("k", "rows", "features", "history_items", "user_vector", "allowed_bits", "flag"): (
                self._odd_array(self._random.normal(size=self._random.integers(0, 40)).astype(np.float32))
            )
        }
        return self._joined(*self._encoded(self._tensors() | others))

    def _flipped(self) -> Rest:
        request = self._joined(*self._encoded(self._good))
        return Rest(self._flip(request.body), request.headers)

    def _flip(self, body: bytes) -> bytes:
        flipped = bytearray(body)
        for place in self._random.integers(0, max(len(body), 1), self._random.integers(1, 6)):
            if flipped:
                flipped[place] = self._random.integers(256)
        return bytes(flipped)

    def _cut(self) -> Rest:
        request = self._joined(*self._encoded(self._good))
        kept = request.body[: self._random.integers(len(request.body))]
        return Rest(kept + self._choose(b"", b"\0" * 100), request.headers)

    def _noise(self) -> Rest:
        return Rest(self._random.bytes(int(self._random.integers(500))))

    def _deep(self) -> Rest:
        depth = int(self._choose(9, 100, 1000, 100_000))
        data = self._choose(
            b"[" * depth + b"]" * depth, b"[" * depth, b'{"a":' * depth, b"[" + b"[]," * depth
        )
        name = self._choose(*self._good).encode()
        return Rest(
            b'{"inputs":[{"name":"' + name + b'","datatype":"FP32","shape":[1],"data":' + data + b"}]}"
        )

    def _compressed(self) -> Rest:
        request = self._joined(*self._encoded(self._good))
        body = self._choose(BOMB, gzip.compress(request.body)[:-3], request.body, gzip.compress(b""))
        coding = self._choose("gzip", "deflate", "br", "gzip, gzip", "x" * 100)
        return Rest(body, {**request.headers, "content-encoding": coding})

    def _lying_message(self) -> Any:
        sent = message("inference.ModelInferRequest")(
            model_name=self._choose(*[self._model] * 9, "other"), id="x" * self._choose(0, 0, 100_000)
        )
        raw = bool(self._random.integers(2))
        for name, array in self._tensors().items():
            shape = self._choose(*[array.shape] * 4, [2**31 - 1] * 4, [2**62] * 4, [-1], [], [1] * 33)
            named = self._choose(*[name] * 9, "other")
            one = sent.inputs.add(name=named, datatype=datatype_of(name, array), shape=shape)
            if raw:
                sent.raw_input_contents.append(to_bytes(array)[: self._choose(None, None, None, -1, 3)])
            elif array.dtype.kind == "f" and array.dtype != np.float16:
                field = self._choose(one.contents.fp32_contents, one.contents.fp64_contents)
                with np.errstate(all="ignore"):
                    field.extend(array.astype(np.float32).ravel().tolist())
            else:
                one.contents.bytes_contents.extend([b"\xff", b""])
        if self._random.integers(4) == 0:
            sent.raw_input_contents.append(b"more")
        self._lying_parameters(sent)
        return sent

    def _lying_parameters(self, sent: Any) -> None:
        match self._random.integers(5):
            case 0:
                sent.parameters["k"].int64_param = int(self._choose(*ODD_NUMBERS))
            case 1:
                sent.parameters["k"].string_param = "many"
            case 2:
                sent.parameters["k"].double_param = float("nan")
            case 3:
                sent.outputs.add(name=self._choose("no", "scores", "")).parameters[
                    "classification"
                ].int64_param = 3
