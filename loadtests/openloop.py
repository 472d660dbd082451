"""Open loop: requests by the clock, whether or not earlier ones were answered. What an overload is made of.

Locust's people wait for their answers, so that a slow server gets fewer of them; those that overload a server
do not.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httptools
import uvloop

MAX_CONNECTIONS = 2_000
GRACE_S = 10.0
"""How long after the last request answers are awaited."""

TICK_S = 0.002

NO_ANSWER, NOT_SENT = 0, -1
"""Statuses of a request whose connection broke or that nobody answered, and of one beyond our own means."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A rate in requests per second, held for seconds."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's end.

    Attributes:
        due: when it was to be sent, seconds since the beginning.
        took: seconds from then to the end of the answer.
        status: of HTTP, or `NO_ANSWER` or `NOT_SENT`.
        retry_after: whether the header was there.
        whole: a 200 that is no fallback.
    """

    due: float
    took: float
    status: int
    retry_after: bool = False
    whole: bool = False

    @property
    def allowed(self) -> bool:
        """Whether it is one of the two answers that a server under overload may give."""
        return self.status == 200 or (self.status == 503 and self.retry_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is asked what.

    Attributes:
        host, port: where.
        requests: whole HTTP/1.1 messages, sent in turn.
    """

    host: str
    port: int
    requests: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Seen:
    """Every answer of one run, in no order."""

    answers: Sequence[Answer]

    def between(self, start: float, end: float) -> "Seen":
        """Those that were due in a part of the run, seconds since its beginning."""
        return Seen([each for each in self.answers if start <= each.due < end])

    def statuses(self) -> dict[int, int]:
        """How many of each status."""
        return dict(Counter(each.status for each in self.answers))

    def whole(self) -> int:
        """How many were answered with 200 and no fallback."""
        return sum(each.whole for each in self.answers)

    def share(self) -> float:
        """Of all requests, those answered with 200 and no fallback."""
        return self.whole() / len(self.answers) if self.answers else 0.0

    def quantile(self, share: float) -> float:
        """Seconds that so large a share of the 200s stayed within; infinite without one."""
        times = sorted(each.took for each in self.answers if each.status == 200)
        return times[min(len(times) - 1, int(share * len(times)))] if times else float("inf")


def message(path: str, body: bytes, headers: Mapping[str, str], *, host: str) -> bytes:
    """A whole POST."""
    told = {"host": host, "content-length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(target: Target, phases: Sequence[Phase]) -> Seen:
    """Send the phases one after the other, and wait for the last answers."""
    # A pause of our own would look like one of the server's.
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(_Generator(target).run(phases))
    finally:
        gc.enable()


@dataclass(slots=True)
class _Generator:
    target: Target
    answers: list[Answer] = field(default_factory=list)
    idle: list["_Connection"] = field(default_factory=list)
    open: int = 0
    sent: int = 0
    under_way: int = 0
    started: float = 0.0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set["_Connection"] = field(default_factory=set)

    async def run(self, phases: Sequence[Phase]) -> Seen:
        self.started, begin = time.monotonic(), 0.0
        for phase in phases:
            sent, total = 0, int(phase.rate * phase.seconds)
            while sent < total:
                due_by_now = min(total, int(self.since(begin) * phase.rate) + 1)
                for each in range(sent, due_by_now):
                    self._send(begin + each / phase.rate)
                sent = max(sent, due_by_now)
                await asyncio.sleep(TICK_S)
            begin += phase.seconds
            await asyncio.sleep(max(0.0, -self.since(begin)))
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self.quiet.wait()
        # A connection that is aborted while it is asked tells so: nobody answered.
        for each in tuple(self.connections):
            each.abort()
        await asyncio.sleep(0.1)
        return Seen(self.answers)

    def _send(self, due: float) -> None:
        self.sent += 1
        message = self.target.requests[self.sent % len(self.target.requests)]
        if not self.idle and self.open >= MAX_CONNECTIONS:
            self.answers.append(Answer(due, 0.0, NOT_SENT))
            return
        self.under_way += 1
        self.quiet.clear()
        if self.idle:
            # The latest used first, as clients' pools do: it is still in everybody's caches.
            self.idle.pop().ask(message, due)
        else:
            self.open += 1
            _tasks.add(task := asyncio.ensure_future(self._connect(message, due)))
            task.add_done_callback(_tasks.discard)

    async def _connect(self, message: bytes, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(
                lambda: _Connection(self), self.target.host, self.target.port
            )
        except OSError:
            self.open -= 1
            self.ended(Answer(due, self.since(due), NO_ANSWER))
            return
        made.ask(message, due)

    def since(self, due: float) -> float:
        return time.monotonic() - self.started - due

    def ended(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.under_way -= 1
        if not self.under_way:
            self.quiet.set()


_tasks: set["asyncio.Future[None]"] = set()
"""Connections being made; the event loop itself would forget them."""


class _Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._parser = httptools.HttpResponseParser(self)
        self._generator.connections.add(self)

    def abort(self) -> None:
        self._transport.abort()

    def ask(self, message: bytes, due: float) -> None:
        self._due, self._retry_after, self._body = due, False, b""
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        if self._due is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_header(self, name: bytes, _value: bytes) -> None:
        self._retry_after |= name.lower() == b"retry-after"

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        due, status = self._due, self._parser.get_status_code()
        if due is None or status < 200:
            return
        self._due = None
        whole = status == 200 and is_whole(self._body)
        generator = self._generator
        generator.ended(Answer(due, generator.since(due), status, self._retry_after, whole))
        if self._parser.should_keep_alive():
            generator.idle.append(self)
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        generator = self._generator
        generator.connections.discard(self)
        generator.open -= 1
        if self._due is not None:
            generator.ended(Answer(self._due, generator.since(self._due), NO_ANSWER))
        elif self in generator.idle:
            generator.idle.remove(self)


def is_whole(body: bytes) -> bool:
    """Whether a 200 is what was asked for: no recommendation that names a fallback."""
    return b'"fallback":' not in body or b'"fallback":null' in body.replace(b" ", b"")
