"""The protocol's second door: gRPC on a port of its own, in the same process and event loop as HTTP.

Every worker of a service listens on the same port (SO_REUSEPORT), so the kernel spreads connections over
them. What a call says stays bytes until it is its turn.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc import StatusCode, aio

from tonnage.errors import ConfigError, TonnageError
from tonnage.serving.admission.admission import Reason, RefusedError
from tonnage.serving.edge import RELEASE, REQUEST_ID, TRACK, UnforeseenError, request_id
from tonnage.serving.ledger import Answered, Ledger
from tonnage.serving.protocol.dataplane import MAX_BODY, DataPlane
from tonnage.serving.protocol.grpc_methods import Metadata, Method, Methods
from tonnage.serving.protocol.protos import HEALTH_SERVICE, INFERENCE_SERVICE

GRACE_S = 5.0
"""Time that calls in flight have when the service has drained and stops."""

MAX_DETAILS = 1000
"""Characters of an error's sentence: it travels as a header."""

CODES: Mapping[int, StatusCode] = {
    404: StatusCode.NOT_FOUND,
    409: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
}
"""gRPC's word for an error's status in HTTP; the other 4xx are INVALID_ARGUMENT, the other 5xx INTERNAL."""


@asynccontextmanager
async def second_door(plane: DataPlane, port: int, ledger: Ledger) -> AsyncIterator[None]:
    """Answer gRPC on a port while the context lasts; what is in flight at its end is finished.

    Raises:
        ConfigError: the port is taken.
    """
    size = ("grpc.max_receive_message_length", MAX_BODY)
    server = aio.server(options=[size, ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 1)])
    methods = Methods(plane)
    for service, found in ((INFERENCE_SERVICE, methods.inference()), (HEALTH_SERVICE, methods.health())):
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _Call(plane, ledger, f"/{service}/{name}", method).answer
            )
            for name, method in found.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    try:
        server.add_insecure_port(f"[::]:{port}")
    except RuntimeError as error:
        raise ConfigError("the port for gRPC is taken", hint="Set TONNAGE_GRPC_PORT.", port=port) from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE_S)


class _Call:
    """Answers the calls of one method, and accounts for them."""

    def __init__(self, plane: DataPlane, ledger: Ledger, route: str, method: Method) -> None:
        self._ledger = ledger
        self._route, self._method = route, method
        identity = plane.running.identity
        self._who = ((RELEASE, identity.release), (TRACK, identity.track))

    async def answer(self, body: bytes, context: Any) -> bytes:
        """Answer one call, or abort it."""
        started = time.perf_counter()
        metadata: Metadata = dict(context.invocation_metadata() or ())
        given = metadata.get(REQUEST_ID, "")
        own = request_id(given if isinstance(given, bytes) else given.encode())
        trailing = [(REQUEST_ID, own), *self._who]
        code, says, refused, answer = StatusCode.CANCELLED, "", "", b""
        self._ledger.entered()
        try:
            answer = await self._method(body, metadata, context.time_remaining())
            code = StatusCode.OK
        except RefusedError as error:
            code, says, refused = status_of(error), str(error), error.reason.value
            trailing.append(("grpc-retry-pushback-ms", str(1000 * error.retry_after_s)))
        except TonnageError as error:
            code, says = status_of(error), str(error)
        except Exception:
            self._ledger.log.exception("failure", request_id=own, route=self._route)
            code, says = StatusCode.INTERNAL, str(UnforeseenError("something broke that nobody foresaw"))
        finally:
            self._ledger.left(
                Answered(
                    request_id=own,
                    method="POST",
                    route=self._route,
                    status=code.name,
                    failed=code is not StatusCode.OK,
                    refused=refused,
                    seconds=time.perf_counter() - started,
                )
            )
        # Not `abort`: its exception and the context know each other, and what the call sent with them.
        context.set_trailing_metadata(tuple(trailing))
        context.set_code(code)
        context.set_details(says[:MAX_DETAILS])
        return answer


def status_of(error: TonnageError) -> StatusCode:
    """The status that tells a caller of gRPC what an error tells one of HTTP."""
    if isinstance(error, RefusedError):
        late = error.reason is Reason.DEADLINE
        return StatusCode.DEADLINE_EXCEEDED if late else StatusCode.RESOURCE_EXHAUSTED
    code = CODES.get(error.http_status)
    if code:
        return code
    return StatusCode.INVALID_ARGUMENT if error.http_status < 500 else StatusCode.INTERNAL
