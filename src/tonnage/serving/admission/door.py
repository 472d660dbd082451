"""Requests that a full service turns away at their head, before they are anything to the application.

At four times what a service sustains, three of four requests are refused, by the processor that answers the
fourth. A refusal through ASGI is a task, a scope, an event and two messages; here it is one look at the
admission and one write of bytes made before. What is not refused takes its ordinary way, which asks the
admission again.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from secrets import token_hex
from typing import Self

import orjson

from tonnage.serving.admission.admission import Admission, Reason, RefusedError
from tonnage.serving.edge import RELEASE, REQUEST_ID, DeadlineError, EdgeSettings, remaining_s, request_id
from tonnage.serving.ledger import Answered

STATE = "tonnage.door"
"""Under which an application's lifespan state has its door; the server's protocol finds it there."""

_REQUEST_ID, _RELEASE = REQUEST_ID.encode(), RELEASE.encode()


class Door:
    """Refuses for one service.

    Args:
        admission: knows whether there is room.
        paths: that it guards; a request for any other is let through.
        settings: of the service's edge: the form of its errors, who answers, where it is counted.
    """

    def __init__(self, admission: Admission, paths: Iterable[str], settings: EdgeSettings) -> None:
        self._admission, self._settings = admission, settings
        self._routes = {path.encode(): path for path in paths}
        self._answer_of = cache(lambda reason: _Prepared.of(settings, reason))

    def refusal(self, method: bytes, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer to a request that is refused, which is then counted; None for any other.

        Args:
            method: of HTTP.
            url: as sent.
            headers: names in lower case.
        """
        route = self._routes.get(url)
        if route is None or method != b"POST":
            return None
        started, told = time.perf_counter(), dict(headers)
        reason = None if self._says_more(told) else self._objection(told)
        if reason is None:
            return None
        own = request_id(told.get(_REQUEST_ID, b""))
        self._count(own, route, reason, time.perf_counter() - started)
        return self._answer_of(reason).to(own)

    def _says_more(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the application says more than "full": that it leaves, or that it holds another release."""
        if self._settings.is_leaving:
            return True
        given = headers.get(_RELEASE)
        return given is not None and (_RELEASE, given) not in self._settings.headers

    def _objection(self, headers: dict[bytes, bytes]) -> Reason | None:
        try:
            return self._admission.turned_away(remaining_s(headers))
        except DeadlineError:
            return None

    def _count(self, own: str, route: str, reason: Reason, seconds: float) -> None:
        ledger = self._settings.ledger
        ledger.entered()
        ledger.left(
            Answered(
                request_id=own,
                method="POST",
                route=route,
                status=503,
                failed=True,
                refused=reason,
                seconds=seconds,
            )
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A refusal but for the request's id.

    Attributes:
        head: status line and headers, without the body's length.
        parts: of the body, between which the id stands.
    """

    head: bytes
    parts: Sequence[bytes]

    @classmethod
    def of(cls, settings: EdgeSettings, reason: Reason) -> Self:
        place = token_hex(16)
        response = settings.refuse(RefusedError(reason), place)
        headers = [*response.raw_headers, *settings.headers]
        lines = [b"%b: %b\r\n" % each for each in headers if each[0] != b"content-length"]
        head = b"HTTP/1.1 503 Service Unavailable\r\n" + b"".join(lines)
        return cls(head, bytes(response.body).split(place.encode()))

    def to(self, own: str) -> bytes:
        body = self.parts[0]
        if len(self.parts) > 1:
            body = orjson.dumps(own)[1:-1].join(self.parts)
        return b"%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            self.head,
            own.encode(),
            len(body),
            body,
        )
