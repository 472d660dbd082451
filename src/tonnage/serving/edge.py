"""What happens to every request of every service, before and after its handler.

Request ids in and out, one log line, metrics, admission, a limit for bodies, and an answer in the service's
own form when something breaks that nobody foresaw. Plain ASGI: at a thousand requests a second, an object for
headers here and a response there cost as much as the handler.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tonnage.errors import InputError, TonnageError
from tonnage.serving import bodies
from tonnage.serving.admission.admission import Admission, RefusedError
from tonnage.serving.ledger import Answered, Ledger
from tonnage.serving.metrics import Metrics

REQUEST_ID = "x-request-id"
RELEASE = "x-tonnage-release"
TRACK = "x-tonnage-track"
DEADLINE = "x-tonnage-deadline-ms"

HEADERS = "tonnage.headers"
"""Where the scope keeps the request's headers as a dict of bytes, names in lower case."""

_REQUEST_ID, _DEADLINE = REQUEST_ID.encode(), DEADLINE.encode()
_USABLE_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_USABLE_MS = re.compile(rb"-?[0-9]{1,9}(\.[0-9]{1,9})?")

_CLOSE = (b"connection", b"close")

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class MediaTypeError(InputError):
    """A body is of a type that the service does not read."""

    http_status = 415


class DeadlineError(InputError):
    """A deadline is not a number."""


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
        admission: who gets in to the paths of `admitted`; their body is read before their turn comes.
        json_only: a body must say that it is JSON.
        ledger: counts and logs.
        headers: of every answer; who answers.
    """

    refuse: Callable[[TonnageError, str], Response]
    max_body: int
    routes: frozenset[str] = frozenset()
    admission: Admission | None = None
    admitted: frozenset[str] = frozenset()
    json_only: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def serve_as(self, identity: Identity, metrics: Metrics, log: Any) -> None:
        """Say who answers from now on."""
        self.ledger.metrics, self.ledger.log = metrics, log
        self.headers = [
            (RELEASE.encode(), identity.release.encode()),
            (TRACK.encode(), identity.track.encode()),
        ]

    def leave(self) -> None:
        """Close each connection with its next answer: a caller that keeps one would lose a request on it."""
        self.headers = [*self.headers, _CLOSE]

    @property
    def is_leaving(self) -> bool:
        """Whether each answer closes its connection."""
        return _CLOSE in self.headers


class Edge:
    """ASGI middleware around a whole service; `settings` learns who answers when the service starts."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        scope[HEADERS] = headers = dict(scope["headers"])
        scope["tonnage.request_id"] = own = request_id(headers.get(_REQUEST_ID, b""))
        answer = _Answer(self._settings, own, send)
        ledger = self._settings.ledger
        ledger.entered()
        try:
            await self._handle(scope, receive, answer)
        finally:
            answered = Answered(
                request_id=own,
                method=scope["method"],
                route=scope["path"] if scope["path"] in self._settings.routes else "other",
                status=answer.status,
                failed=answer.status >= 400,
                refused=answer.refused,
                seconds=time.perf_counter() - started,
            )
            # In the loop's next round: uvloop writes to its sockets at the end of this one, and whoever waits
            # for the answer need not wait for its line in the log.
            asyncio.get_running_loop().call_soon(ledger.left, answered)

    async def _handle(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            limit = self._settings.max_body
            if scope["method"] in _BODILESS:
                await self._app(scope, receive, answer.send)
            elif scope["path"] in self._settings.admitted and self._settings.admission:
                await self._admit(self._settings.admission, scope, receive, answer)
            else:
                bodies.check_announced(scope[HEADERS], limit)
                await self._app(scope, bodies.limited(receive, limit), answer.send)
        except bodies.GoneError:
            pass
        except TonnageError as error:
            await answer.refuse(error)
        except Exception:
            self._settings.ledger.log.exception("failure", request_id=answer.request_id, route=scope["path"])
            await answer.refuse(UnforeseenError("something broke that nobody foresaw"))

    async def _admit(self, admission: Admission, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        headers = scope[HEADERS]
        with admission.enter(remaining_s(headers)) as turn:
            if self._settings.json_only:
                _check_json(headers.get(b"content-type", b"").decode("latin-1"))
            body = await bodies.read(receive, headers, self._settings.max_body)
            await turn.begin()
            await self._app(scope, bodies.replay(body, receive), answer.send)


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


def request_id(given: bytes) -> str:
    """The request's id: the caller's where it is usable, else a new one."""
    return given.decode() if _USABLE_ID.fullmatch(given) else token_hex(16)


def remaining_s(headers: dict[bytes, bytes]) -> float:
    """Seconds until the caller's deadline; infinite for a caller that has none.

    Raises:
        DeadlineError: what the caller sent is not a number.
    """
    given = headers.get(_DEADLINE)
    if given is None:
        return math.inf
    if not _USABLE_MS.fullmatch(given):
        raise DeadlineError(f"{DEADLINE} is not a number of milliseconds", value=given[:50].decode("latin-1"))
    return float(given) / 1000


class _Answer:
    """Sends an answer with the headers that every answer has, and remembers its status."""

    __slots__ = ("_begun", "_send", "_settings", "refused", "request_id", "status")

    def __init__(self, settings: EdgeSettings, request_id: str, send: Send) -> None:
        self.request_id = request_id
        # What is counted when the caller went away before there was an answer.
        self.status = 499
        self.refused = ""
        self._settings = settings
        self._begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            self.status = message["status"]
            message["headers"] = [
                *message["headers"],
                (_REQUEST_ID, self.request_id.encode()),
                *self._settings.headers,
            ]
        await self._send(message)

    async def refuse(self, error: TonnageError) -> None:
        if self._begun:
            return
        if isinstance(error, RefusedError):
            self.refused = error.reason
        response = self._settings.refuse(error, self.request_id)
        start = {"type": "http.response.start", "status": response.status_code}
        await self.send({**start, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": response.body})


def _check_json(content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise MediaTypeError(
            "the body's media type is not JSON",
            hint="Send content-type: application/json.",
            content_type=content_type or "none",
        )
