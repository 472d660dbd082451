"""What every request meets before and after its handler."""

import asyncio
import gzip
import math
import zlib

import pytest
from starlette.responses import JSONResponse
from tests.factories.log import Log

from tonnage.serving import bodies
from tonnage.serving.admission.admission import Admission, Reason, RefusedError
from tonnage.serving.edge import DeadlineError, Edge, EdgeSettings, remaining_s
from tonnage.serving.ledger import Ledger

LIMIT = 1000


def sender(*parts, then="http.disconnect"):
    """What a server receives from a client that sends its body in parts."""
    left = [
        {"type": "http.request", "body": part, "more_body": place + 1 < len(parts)}
        for place, part in enumerate(parts)
    ]

    async def receive():
        return left.pop(0) if left else {"type": then}

    return receive


async def read(*parts, **headers):
    return await bodies.read(sender(*parts), {k.encode(): v.encode() for k, v in headers.items()}, LIMIT)


async def test_a_body_in_parts_is_one_body():
    assert await read(b"ab", b"", b"c") == b"abc"


@pytest.mark.parametrize("parts", [[b"x" * 1001], [b"x" * 600, b"x" * 600], [b"x"] * 1001])
async def test_a_body_without_an_end_is_cut_at_the_limit(parts):
    """Whoever sends without a content-length must not fill the memory."""
    with pytest.raises(bodies.TooLargeError, match="limit_bytes=1000"):
        await read(*parts)


async def test_a_body_that_says_it_is_too_large_is_not_read():
    async def receive():
        raise AssertionError("was read")

    with pytest.raises(bodies.TooLargeError, match="announced=1001"):
        await bodies.read(receive, {b"content-length": b"1001"}, LIMIT)


async def test_a_caller_that_sends_slowly_is_not_waited_for(monkeypatch):
    """Fifty connections that each send a byte a minute would keep every place in the queue."""
    monkeypatch.setattr(bodies, "TIMEOUT_S", 0.01)
    never = bodies.asyncio.Event()

    async def receive():
        await never.wait()

    with pytest.raises(bodies.TooSlowError):
        await bodies.read(receive, {}, LIMIT)


async def test_a_caller_that_went_away_is_no_failure():
    with pytest.raises(bodies.GoneError):
        await bodies.read(sender(), {}, LIMIT)


@pytest.mark.parametrize(("coding", "code"), [(b"gzip", gzip.compress), (b"Deflate ", zlib.compress)])
def test_compressed_bodies_are_read(coding, code):
    assert bodies.inflate(code(b"ab" * 400), coding, LIMIT) == b"ab" * 400


@pytest.mark.parametrize(
    ("body", "coding", "error"),
    [
        (gzip.compress(bytes(10**7)), b"gzip", bodies.TooLargeError),
        (gzip.compress(b"a")[:-4], b"gzip", bodies.CodingError),
        (b"not compressed", b"gzip", bodies.CodingError),
        (b"", b"deflate", bodies.CodingError),
        (b"x", b"br", bodies.CodingError),
        (b"x", b"\xff", bodies.CodingError),
    ],
)
def test_a_bomb_and_a_broken_coding_are_refused(body, coding, error):
    with pytest.raises(error):
        bodies.inflate(body, coding, LIMIT)


@pytest.mark.parametrize(("given", "seconds"), [("250", 0.25), ("0", 0.0), ("-3", -0.003), ("1.5", 0.0015)])
def test_a_deadline_is_milliseconds(given, seconds):
    assert remaining_s({b"x-tonnage-deadline-ms": given.encode()}) == pytest.approx(seconds)


@pytest.mark.parametrize("given", [b"soon", b"nan", b"1e999", b"\xff", b"", b"9" * 400])
def test_a_deadline_that_is_no_number_is_told(given):
    with pytest.raises(DeadlineError):
        remaining_s({b"x-tonnage-deadline-ms": given})


def test_who_has_no_deadline_waits():
    assert remaining_s({}) == math.inf


@pytest.fixture
def admission():
    return Admission(concurrency=1, budget_s=0.1)


@pytest.fixture
def log():
    return Log()


async def call(app, method="POST", path="/work", headers=(), body=b"{}"):
    """One request: status, headers and body of the answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [*headers]}
    await app(scope, sender(body), send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture
def edge(admission, log):
    async def echo(_scope, receive, send):
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    def refuse(error, request_id):
        return JSONResponse({"error": str(error)}, error.http_status, headers={"retry-after": "1"})

    settings = EdgeSettings(
        refuse=refuse,
        max_body=LIMIT,
        admission=admission,
        admitted=frozenset({"/work"}),
        ledger=Ledger(log=log),
    )
    return Edge(echo, settings)


async def test_a_full_service_refuses_before_it_reads(edge, admission, log):
    """Reading what is not worked on would cost the requests that are."""
    admission.memory_share = 1.0

    async def receive():
        raise AssertionError("was read")

    sent = []

    async def send(message):
        sent.append(message)

    await edge({"type": "http", "method": "POST", "path": "/work", "headers": []}, receive, send)
    assert sent[0]["status"] == 503
    assert (b"retry-after", b"1") in sent[0]["headers"]
    assert admission.refused[Reason.MEMORY] == 1
    assert (await call(edge, "GET", "/livez"))[0] == 200


async def test_an_overload_writes_one_line_a_second(edge, admission, log):
    """A log line for each of thousands of refusals costs more than the refusals."""
    admission.memory_share = 1.0
    for _ in range(50):
        await call(edge)
    # The last answer's turn to be counted comes after it was sent.
    await asyncio.sleep(0)
    assert [event for event, _ in log.lines] == ["refused"]


async def test_the_place_is_free_again_after_the_answer(edge, admission):
    for _ in range(20):
        assert (await call(edge, body=b"[1]"))[0] == 200
    assert admission.inside == 0


async def test_a_request_id_comes_back_and_a_useless_one_is_replaced(edge):
    assert (await call(edge, headers=[(b"x-request-id", b"r-1")]))[1][b"x-request-id"] == b"r-1"
    assert len((await call(edge, headers=[(b"x-request-id", b"\xff\n")]))[1][b"x-request-id"]) == 32


async def test_late_work_is_not_begun(edge):
    status, _, body = await call(edge, headers=[(b"x-tonnage-deadline-ms", b"0")])
    assert status == 503
    assert b"deadline" in body


async def test_an_unbounded_body_of_another_path_is_bounded_too(edge):
    assert (await call(edge, path="/other", body=b"x" * 1001))[0] == 413


def test_a_refusal_says_when_to_come_again():
    assert RefusedError(Reason.QUEUE).retry_after_s >= 1


async def test_a_leaving_service_closes_each_connection_with_its_answer(edge):
    """Who keeps a connection to a pod that goes loses the request which it sends as the pod closes it."""
    _, headers, _ = await call(edge, "GET", "/livez")
    assert b"connection" not in headers
    edge._settings.leave()
    _, headers, _ = await call(edge, "GET", "/livez")
    assert headers[b"connection"] == b"close"
