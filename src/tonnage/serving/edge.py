"""What happens to every request of every service, before and after its handler.

Request ids in and out, one log line, metrics, a limit for bodies, and an answer in the service's own form
when something breaks that nobody foresaw.
"""

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tonnage.errors import InputError, TonnageError
from tonnage.serving.metrics import Metrics

REQUEST_ID = "x-request-id"
RELEASE = "x-tonnage-release"
TRACK = "x-tonnage-track"

_USABLE_ID = re.compile(r"[\x21-\x7e]{1,128}")

_QUIET_ROUTES = frozenset({"/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})


class TooLargeError(InputError):
    """A body is larger than the service reads."""

    http_status = 413


class MediaTypeError(InputError):
    """A body is of a type that the service does not read."""

    http_status = 415


class UnforeseenError(TonnageError):
    """Something broke that nobody foresaw; the log has it under the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers: what every answer's headers and every log line say."""

    service: str
    track: str
    release: str


@dataclass(slots=True)
class EdgeSettings:
    """How one service treats its edge.

    Attributes:
        refuse: an error as an answer in the service's own form.
        max_body: bytes.
        routes: paths that the service has; all others count as `other`.
        json_only: a body must say that it is JSON.
        log_every: one in so many successful requests is logged.
    """

    refuse: Callable[[TonnageError, str], Response]
    max_body: int
    routes: Collection[str] = ()
    json_only: bool = False
    log_every: int = 1
    identity: Identity | None = None
    metrics: Metrics | None = None
    log: Any = field(default_factory=structlog.get_logger)

    def serve_as(self, identity: Identity, metrics: Metrics, log: Any) -> None:
        """Say who answers from now on."""
        self.identity, self.metrics, self.log = identity, metrics, log


class Edge:
    """ASGI middleware around a whole service; `settings` learns who answers when the service starts."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings) -> None:
        self._app = app
        self._settings = settings
        self._seen = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(self._settings, _request_id(scope), send)
        scope["tonnage.request_id"] = answer.request_id
        metrics = self._settings.metrics
        if metrics:
            metrics.entered()
        try:
            await self._handle(scope, receive, answer)
        finally:
            self._account(scope, answer, time.perf_counter() - started)

    async def _handle(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            limited = _Limited(receive, self._settings.max_body)
            headers = Headers(scope=scope)
            limited.check(headers.get("content-length"))
            if self._settings.json_only and scope["method"] == "POST":
                _check_json(headers.get("content-type", ""))
            await self._app(scope, limited, answer.send)
        except TonnageError as error:
            await answer.refuse(error, scope, receive)
        except Exception:
            self._settings.log.exception("failure", request_id=answer.request_id, route=scope["path"])
            await answer.refuse(UnforeseenError("something broke that nobody foresaw"), scope, receive)

    def _account(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._settings.routes else "other"
        if self._settings.metrics:
            self._settings.metrics.answered(route, answer.status, seconds)
        self._seen += 1
        if route in _QUIET_ROUTES and answer.status < 400:
            return
        if answer.status >= 400 or self._seen % self._settings.log_every == 0:
            self._settings.log.info(
                "request",
                request_id=answer.request_id,
                method=scope["method"],
                route=route,
                status=answer.status,
                ms=round(seconds * 1000, 2),
            )


class NothingThere(BaseRoute):
    """The last route of an application: whatever no other takes is a 404, in the application's own form.

    It claims a path only in part: a route that has the path but not the method was asked before and goes
    first, as does what BentoML serves beside the application.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See `BaseRoute`."""
        return (Match.PARTIAL if scope["type"] == "http" else Match.NONE), {}

    async def handle(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """See `BaseRoute`."""
        raise HTTPException(404, f"there is no {scope['path']}")


class _Answer:
    """Sends an answer with the headers that every answer has, and remembers its status."""

    def __init__(self, settings: EdgeSettings, request_id: str, send: Send) -> None:
        self.request_id = request_id
        # What is counted when the caller went away before there was an answer.
        self.status = 499
        self._settings = settings
        self._begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            if self._settings.identity:
                headers[RELEASE] = self._settings.identity.release
                headers[TRACK] = self._settings.identity.track
        await self._send(message)

    async def refuse(self, error: TonnageError, scope: Scope, receive: Receive) -> None:
        if not self._begun:
            await self._settings.refuse(error, self.request_id)(scope, receive, self.send)


class _Limited:
    """Receives a body up to a limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._received = 0

    def check(self, announced: str | None) -> None:
        if (
            announced is not None
            and announced.isascii()
            and announced.isdigit()
            and int(announced) > self._limit
        ):
            raise TooLargeError("the body is too large", limit_bytes=self._limit)

    async def __call__(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise TooLargeError("the body is too large", limit_bytes=self._limit)
        return message


def _check_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise MediaTypeError(
            "the body's media type is not JSON",
            hint="Send content-type: application/json.",
            content_type=content_type or "none",
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _USABLE_ID.fullmatch(given) else uuid4().hex
