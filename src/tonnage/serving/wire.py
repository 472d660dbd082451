"""HTTP/1.1 to one service of our own, on connections that are kept.

A recommendation waits for two such calls. Measured with their bodies (14 kB there, 12 kB back) against a
bare uvicorn: this 0.18 ms and 0.14 ms of a core, aiohttp 0.33 and 0.27, `grpc.aio` 0.63 and 0.40, which also
costs the other side three times as much. It is no client for the world: no redirects, cookies, proxies or
compression.
"""

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

IDLE_S = 60.0
"""Idle time after which a connection is not used again; our services close theirs after 75 s."""

AGE_S = 60.0
"""Age from which a connection is replaced: a Service picks a pod only when somebody connects, so pods that
come later would never be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered; names of headers in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Wire:
    """The connections to one service; belongs to one event loop.

    Args:
        url: `http://host:port`, or `https://`; the path is left out.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._ssl = True if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._ssl else 80)
        self._netloc = parts.netloc.rpartition("@")[2]
        self._idle: list[_Connection] = []

    def head(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        """The first part of a request's head; what changes from call to call comes after it."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    async def ask(self, head: bytes, body: bytes = b"", *, anew: bool = False) -> Answer:
        """Send one request, and wait for its answer as long as it takes.

        Args:
            head: lines, each with its end, without the body's length.
            body: of the request.
            anew: on a new connection, so that a Service picks another pod.

        Raises:
            OSError: the service is not there, or went away before it answered in full.
        """
        connection = None if anew else self._kept()
        if connection is None:
            connection = await self._connect()
        answer = await connection.ask(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        if connection.is_usable(time.monotonic()):
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Let the connections go."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> "_Connection | None":
        now = time.monotonic()
        # The latest used first: those that a burst opened grow old at the other end.
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(now):
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(time.monotonic()), self._host, self._port, ssl=self._ssl
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, now: float) -> None:
        self._opened_at = self._used_at = now
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._keeps = True
        self._begin()

    def is_usable(self, now: float) -> bool:
        """Whether another request may be sent."""
        return (
            self._keeps
            and self._transport is not None
            and not self._transport.is_closing()
            and now - self._opened_at < AGE_S
            and now - self._used_at < IDLE_S
        )

    async def ask(self, request: bytes) -> Answer:
        """Send a request; its answer."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answered
        except BaseException:
            # Whoever gave up must not leave an answer to the next.
            self._keeps = False
            self._transport.abort()
            raise

    def close(self) -> None:
        """Let it go."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._fail(exc or ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not an HTTP answer: {error}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools`; as the next two."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        self._keeps = self._parser.should_keep_alive()
        self._used_at = time.monotonic()
        self._begin()
        if self._answered is None or self._answered.done():
            # Nobody asked.
            self._fail(ConnectionError("an answer that nobody asked for"))
        else:
            self._answered.set_result(answer)

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []

    def _fail(self, error: Exception) -> None:
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
