"""What each method of the protocol over gRPC answers; bytes in, bytes out."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from tonnage.errors import NotFoundError
from tonnage.serving.edge import DEADLINE, RELEASE, remaining_s
from tonnage.serving.protocol import grpc_codec
from tonnage.serving.protocol.dataplane import DataPlane, about_server
from tonnage.serving.protocol.protos import INFERENCE_SERVICE, message
from tonnage.serving.protocol.tensors import ProtocolError

Metadata = dict[str, str | bytes]
"""What a caller sends along; bytes where the name ends with `-bin`."""

Method = Callable[[bytes, Metadata, float | None], Awaitable[bytes]]
"""From a message, what came along, and the seconds until gRPC's own deadline, to the answer."""


class Methods:
    """The methods over one model.

    Each raises a `TonnageError` for what is wrong with the call, or for why it was not let in.
    """

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def inference(self) -> Mapping[str, Method]:
        """Those of `inference.GRPCInferenceService`."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }

    def health(self) -> Mapping[str, Method]:
        """Those of `grpc.health.v1.Health`."""
        return {"Check": self._check}

    async def _server_live(self, _body: bytes, _metadata: Metadata, _left_s: float | None) -> bytes:
        return _written("inference.ServerLiveResponse", live=True)

    async def _server_ready(self, _body: bytes, _metadata: Metadata, _left_s: float | None) -> bytes:
        return _written("inference.ServerReadyResponse", ready=self._plane.is_ready())

    async def _server_metadata(self, _body: bytes, _metadata: Metadata, _left_s: float | None) -> bytes:
        return _written("inference.ServerMetadataResponse", **about_server(self._plane.name))

    async def _model_ready(self, body: bytes, metadata: Metadata, _left_s: float | None) -> bytes:
        asked = _read("inference.ModelReadyRequest", body)
        self._prove(asked.name, asked.version, metadata)
        return _written("inference.ModelReadyResponse", ready=self._plane.is_ready())

    async def _model_metadata(self, body: bytes, metadata: Metadata, _left_s: float | None) -> bytes:
        asked = _read("inference.ModelMetadataRequest", body)
        self._prove(asked.name, asked.version, metadata)
        return _written("inference.ModelMetadataResponse", **self._plane.about_model())

    async def _infer(self, body: bytes, metadata: Metadata, left_s: float | None) -> bytes:
        plane = self._plane
        deadline = _text(metadata, DEADLINE)
        told_s = remaining_s({DEADLINE.encode(): deadline.encode()} if deadline else {})
        with plane.admission.enter(min(told_s, math.inf if left_s is None else left_s)) as turn:
            await turn.begin()
            sent = _read("inference.ModelInferRequest", body)
            self._prove(sent.model_name, sent.model_version, metadata)
            request = grpc_codec.decode_request(sent)
            outputs = await plane.infer(request)
            answer = grpc_codec.encode_response(plane.name, outputs, request, version=plane.release)
            written: bytes = answer.SerializeToString()
        return written

    async def _check(self, body: bytes, _metadata: Metadata, _left_s: float | None) -> bytes:
        service = _read("grpc.health.v1.HealthCheckRequest", body).service
        if service not in ("", INFERENCE_SERVICE):
            raise NotFoundError(f"there is no service {service[:100]}")
        status = "SERVING" if self._plane.is_ready() else "NOT_SERVING"
        return _written("grpc.health.v1.HealthCheckResponse", status=status)

    def _prove(self, name: str, version: str, metadata: Metadata) -> None:
        if name != self._plane.name:
            raise NotFoundError(f"there is no model {name[:100]}", hint=f"There is {self._plane.name}.")
        self._plane.check(release=_text(metadata, RELEASE), version=version)


def _read(name: str, body: bytes) -> Any:
    try:
        return message(name).FromString(body)
    except DecodeError as error:
        raise ProtocolError(f"the message is no {name}: {error}") from error


def _written(name: str, /, **fields: object) -> bytes:
    written: bytes = message(name)(**fields).SerializeToString()
    return written


def _text(metadata: Metadata, name: str) -> str:
    value = metadata.get(name, "")
    return value.decode("latin-1") if isinstance(value, bytes) else value
