"""Kept connections to a server that behaves, and to some that do not."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tonnage.serving import wire
from tonnage.serving.wire import Wire

HEAD = b"POST /x HTTP/1.1\r\nhost: here\r\n"


@asynccontextmanager
async def serving(reply):
    """A server that answers each request by `reply(writer, body)`, and counts its connections."""
    opened = []

    async def serve(reader, writer):
        opened.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reply(writer, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    asked = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        async with server:
            yield asked, opened
            asked.close()
            for each in opened:
                each.close()
    finally:
        asked.close()


async def echo(writer, body):
    writer.write(b"HTTP/1.1 200 OK\r\nX-Kind: echo\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def test_calls_share_a_connection_that_is_free():
    async with serving(echo) as (asked, opened):
        for body in (b"one", b"", b"x" * 100_000):
            answer = await asked.ask(HEAD, body)
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers[b"x-kind"] == b"echo"
        assert len(opened) == 1
        together = await asyncio.gather(*(asked.ask(HEAD, b"%d" % place) for place in range(5)))
        assert [answer.body for answer in together] == [b"0", b"1", b"2", b"3", b"4"]
        assert len(opened) == 5
        await asked.ask(HEAD, anew=True)
        assert len(opened) == 6


async def test_who_gave_up_leaves_no_answer_for_the_next():
    """It would be the slate of another user."""
    slow = asyncio.Event()

    async def late(writer, body):
        if body == b"slow":
            await slow.wait()
        await echo(writer, body)

    async with serving(late) as (asked, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asked.ask(HEAD, b"slow")
        slow.set()
        assert (await asked.ask(HEAD, b"next")).body == b"next"


async def test_an_answer_may_come_in_pieces():
    async def dribble(writer, body):
        answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()

    async with serving(dribble) as (asked, opened):
        assert [(await asked.ask(HEAD)).body for _ in range(2)] == [b"abcde"] * 2
        assert len(opened) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"],
    ids=["nothing", "nonsense", "half of it"],
)
async def test_what_is_no_answer_is_an_error_and_the_connection_is_left(answer):
    async def break_off(writer, body):
        if body == b"right":
            await echo(writer, body)
            return
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with serving(break_off) as (asked, _):
        with pytest.raises(OSError):  # noqa: PT011 — whatever the network says
            await asked.ask(HEAD, b"wrong")
        assert (await asked.ask(HEAD, b"right")).body == b"right"


async def test_an_answer_that_says_it_is_the_last_is_believed():
    async def close_after(writer, body):
        writer.write(b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with serving(close_after) as (asked, opened):
        assert [(await asked.ask(HEAD)).status for _ in range(3)] == [503] * 3
        assert len(opened) == 3


async def test_an_answer_that_nobody_asked_for_is_not_given_to_the_next():
    async def twice(writer, body):
        await echo(writer, body)
        await echo(writer, b"another user's")

    async with serving(twice) as (asked, _):
        for body in (b"one", b"two", b"three"):
            assert (await asked.ask(HEAD, body)).body == body
            await asyncio.sleep(0.01)


async def test_old_connections_are_replaced(monkeypatch):
    """Or pods that were added later would never be asked."""
    monkeypatch.setattr(wire, "AGE_S", 0.0)
    async with serving(echo) as (asked, opened):
        for _ in range(3):
            await asked.ask(HEAD)
        assert len(opened) == 3


async def test_nobody_there_is_an_error():
    with pytest.raises(OSError):  # noqa: PT011 — whatever the network says
        await Wire("http://127.0.0.1:1").ask(HEAD)
