"""The path that inference requests take: plain ASGI from the head of a request to its answer.

Everything else of the protocol (probes, metadata) is a Starlette application behind it.
"""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from tonnage.errors import DependencyError
from tonnage.serving import bodies
from tonnage.serving.edge import HEADERS, remaining_s
from tonnage.serving.protocol import oip
from tonnage.serving.protocol.dataplane import MAX_BODY, DataPlane
from tonnage.serving.protocol.tensors import ProtocolError

_HEADER_LENGTH = oip.HEADER_LENGTH.encode()
_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")


class Inference:
    """ASGI middleware that answers `POST /v2/models/<name>[/versions/<version>]/infer` itself.

    Args:
        app: answers everything else.
        name: of the model.
        plane: what serves now; None before the start and after the end.
    """

    def __init__(self, app: ASGIApp, name: str, plane: Callable[[], DataPlane | None]) -> None:
        self._app = app
        self._plane = plane
        self._path = f"/v2/models/{name}/infer"
        self._prefix = f"/v2/models/{name}/versions/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        version = self._version(scope)
        if version is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        plane = self._plane()
        if plane is None:
            raise DependencyError("the model is not loaded")
        head, body = await answer(plane, version, scope[HEADERS], receive)
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _version(self, scope: Scope) -> str | None:
        """The version asked for, empty for any; None when the request is not for inference."""
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        if path == self._path:
            return ""
        if not path.startswith(self._prefix):
            return None
        version, _, rest = path.removeprefix(self._prefix).partition("/")
        return version if version and rest == "infer" else None


async def answer(
    plane: DataPlane, version: str, headers: dict[bytes, bytes], receive: Receive
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Answer one request: headers and body.

    Raises:
        TonnageError: what is wrong with it, or why it was not let in.
    """
    release = headers.get(b"x-tonnage-release")
    plane.check(release=release.decode("latin-1") if release else None, version=version)
    with plane.admission.enter(remaining_s(headers)) as turn:
        body = await bodies.read(receive, headers, MAX_BODY)
        await turn.begin()
        coding = headers.get(b"content-encoding", b"identity")
        if coding != b"identity":
            body = bodies.inflate(body, coding, MAX_BODY)
        request = oip.decode_request(body, _header_length(headers))
        content, length = oip.encode_response(
            plane.name, await plane.infer(request), request, version=plane.release
        )
    size = (b"content-length", b"%d" % len(content))
    if length is None:
        return [_JSON, size], content
    return [_BINARY, size, (_HEADER_LENGTH, b"%d" % length)], content


def _header_length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(_HEADER_LENGTH)
    if value is None:
        return None
    if not (value.isdigit() and len(value) < 12):
        raise ProtocolError(f"{oip.HEADER_LENGTH} is not a length", value=value[:50].decode("latin-1"))
    return int(value)
