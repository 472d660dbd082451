"""What a full service tells at the head of a request, and what it leaves to the application."""

import asyncio
import json
from contextlib import asynccontextmanager

import httptools
import pytest
import uvicorn
from tests.factories.log import Log

from tonnage.serving import problems
from tonnage.serving.admission.admission import Admission, Reason
from tonnage.serving.admission.door import STATE, Door
from tonnage.serving.edge import Edge, EdgeSettings, Identity
from tonnage.serving.metrics import Metrics

IDENTITY = Identity(service="adder", track="stable", release="r-1")


@pytest.fixture
def admission():
    return Admission(concurrency=1, budget_s=0.1)


@pytest.fixture
def settings(admission):
    made = EdgeSettings(
        refuse=problems.of_error,
        max_body=10**6,
        routes=frozenset({"/work"}),
        admission=admission,
        admitted=frozenset({"/work"}),
    )
    made.serve_as(IDENTITY, Metrics(service="adder", track="stable", release="r-1"), Log())
    return made


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config):
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.up.set()


@pytest.fixture
async def port(settings, admission):
    """Of a server whose application answers every request that comes to it with the length of its body."""

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"][STATE] = Door(admission, settings.admitted, settings)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        length, more = 0, True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = str(length).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        Edge(application, settings),
        port=0,
        http="tonnage.serving.admission.protocol:GuardedProtocol",
        lifespan="on",
        log_config=None,
        server_header=False,
        timeout_keep_alive=1,
    )
    server = Server(config)
    listening = config.bind_socket()
    serving = asyncio.create_task(server.serve([listening]))
    await asyncio.wait_for(server.up.wait(), 5)
    yield listening.getsockname()[1]
    server.should_exit = True
    await serving


class Answers:
    """What comes back on one connection, as httptools reads it."""

    def __init__(self, reader):
        self._reader, self._parser = reader, httptools.HttpResponseParser(self)
        self._headers, self._body, self._whole = {}, b"", []

    def on_header(self, name, value):
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body):
        self._body += body

    def on_message_complete(self):
        self._whole.append((self._parser.get_status_code(), self._headers, self._body))
        self._headers, self._body = {}, b""

    async def next(self):
        """Status, headers and body of the next answer."""
        while not self._whole:
            async with asyncio.timeout(5):
                received = await self._reader.read(2**16)
            assert received, "the connection was closed"
            self._parser.feed_data(received)
        return self._whole.pop(0)


def post(body=b"{}", path="/work", method="POST", **headers):
    told = {"host": "here", "content-length": len(body), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield writer, Answers(reader)
    finally:
        writer.close()


async def ask(port, *messages):
    """The answers to messages sent one after the other on one connection."""
    async with connected(port) as (writer, answers):
        found = []
        for each in messages:
            writer.write(each)
            found.append(await answers.next())
        return found


async def test_a_full_service_says_so_in_its_own_form(port, admission, settings):
    """A caller must not see at which door it was refused: one form, one set of headers, one count."""
    admission.memory_share = 1.0
    [(status, headers, body)] = await ask(port, post(x_request_id='a"b'))
    assert status == 503
    assert headers["retry-after"] == "1"
    assert headers["content-type"] == problems.MEDIA_TYPE
    assert (headers["x-tonnage-release"], headers["x-tonnage-track"]) == ("r-1", "stable")
    assert headers["x-request-id"] == 'a"b'
    told = json.loads(body)
    assert (told["status"], told["request_id"]) == (503, 'a"b')
    assert "memory" in told["detail"]
    assert admission.refused[Reason.MEMORY] == 1
    counted = settings.ledger.metrics.render().decode()
    assert 'tonnage_request_seconds_count{release="r-1",route="/work",service="adder",status="503"' in counted
    assert 'tonnage_requests_in_flight{release="r-1",service="adder",track="stable"} 0.0' in counted


async def test_a_refusal_is_what_the_application_would_have_said(port, admission):
    """Two texts for one thing part in time: the door's is the edge's, but for the server's clock."""
    admission.memory_share = 1.0
    at_the_door, inside = await ask(
        port, post(x_request_id="r"), post(x_request_id="r", expect="100-continue")
    )
    inside[1].pop("date")
    assert at_the_door == inside


async def test_the_rest_of_a_refused_request_is_no_request(port, admission):
    """Its body comes after its answer; what follows on the same connection is answered as ever."""
    admission.memory_share = 1.0
    async with connected(port) as (writer, answers):
        head, body = post(b"GET / HTTP/1.1\r\n\r\n" * 5000).split(b"\r\n\r\n", 1)
        writer.write(head + b"\r\n\r\n")
        assert (await answers.next())[0] == 503
        writer.write(body)
        await writer.drain()
        admission.memory_share = 0.0
        for _ in range(3):
            writer.write(post(b"abc"))
            assert (await answers.next())[::2] == (200, b"3")
    assert admission.inside == 0


async def test_requests_sent_ahead_are_answered_in_their_order(port, admission):
    """A refusal is quicker than an answer, and must not overtake it."""
    async with connected(port) as (writer, answers):
        writer.write(post(b"a" * 10) * 3)
        assert [(await answers.next())[::2] for _ in range(3)] == [(200, b"10")] * 3
        admission.memory_share = 1.0
        writer.write(post(b"a" * 10) * 3)
        assert [(await answers.next())[0] for _ in range(3)] == [503] * 3


async def test_who_does_not_read_is_not_written_to_without_end(port, admission):
    """Each refusal that nobody reads would stay in memory."""
    admission.memory_share = 1.0
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            while True:
                writer.write(post() * 100)
                await writer.drain()
    assert admission.refused[Reason.MEMORY] > 100
    writer.transport.abort()


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (post(path="/other"), 200),
        (post(path="/work?x=1"), 503),
        (post(method="GET", body=b""), 200),
        (post(x_tonnage_deadline_ms="soon"), 400),
        (post(connection="close"), 503),
        (post(connection="upgrade", upgrade="h2c"), 503),
    ],
)
async def test_what_is_no_plain_refusal_goes_to_the_application(port, admission, message, status):
    """Probes and metrics answer; what is wrong with a request is told as ever."""
    admission.memory_share = 1.0
    assert (await ask(port, message))[0][0] == status


async def test_a_call_for_another_release_hears_that(port, admission):
    """It would come again and again for what is not here: only the application can say so."""
    admission.memory_share = 1.0
    [(_, headers, _)] = await ask(port, post(x_tonnage_release="r-2"))
    assert "date" in headers
    [(_, headers, _)] = await ask(port, post(x_tonnage_release="r-1"))
    assert "date" not in headers


async def test_a_service_that_leaves_closes_the_connection_with_a_refusal(port, admission, settings):
    """A caller that keeps the connection would lose its next request on it."""
    admission.memory_share = 1.0
    assert "connection" not in (await ask(port, post()))[0][1]
    settings.leave()
    assert (await ask(port, post()))[0][1]["connection"] == "close"


async def test_late_work_is_turned_away_at_the_head(port, admission):
    [(status, _, body)] = await ask(port, post(x_tonnage_deadline_ms="0"))
    assert status == 503
    assert b"deadline" in body
    assert admission.refused[Reason.DEADLINE] == 1


async def test_a_connection_that_was_refused_is_closed_when_it_stays_idle(port, admission):
    """Were it kept for ever, each caller that was refused once would hold a connection."""
    admission.memory_share = 1.0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post())
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 503")
    writer.close()
