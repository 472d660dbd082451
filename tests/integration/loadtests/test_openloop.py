"""The open loop against a server that misbehaves in every way that is counted."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from openloop import NO_ANSWER, Phase, Target, message, run

ANSWERS = {
    b"/good": b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"fallback":null}',
    b"/fallback": b'HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{"fallback":"deadline"}',
    b"/chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"/refused": b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
    b"/down": b"HTTP/1.1 503 Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    b"/broken": b"",
}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
            answer = ANSWERS[head.split()[1]]
            writer.write(answer)
            if not answer or b"close" in answer:
                break
    writer.close()


@pytest.fixture
def port() -> Iterator[int]:
    told: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with await asyncio.start_server(_answer, "127.0.0.1", 0) as server:
            told.put((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    found, loop, stop = told.get(timeout=10)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()


def test_every_kind_of_answer_is_told_apart(port: int):
    """What is not told apart here would count as goodput, or as a refusal that is allowed."""
    requests = [message(path.decode(), b"{}", {}, host="x") for path in ANSWERS]
    seen = run(Target(host="127.0.0.1", port=port, requests=requests), [Phase(300, 0.5), Phase(600, 0.5)])
    assert len(seen.answers) == 450
    assert seen.statuses() == {200: 225, 503: 150, NO_ANSWER: 75}
    assert seen.whole() == 150
    assert sum(each.allowed for each in seen.answers) == 300


def test_nobody_there_is_no_answer():
    seen = run(
        Target(host="127.0.0.1", port=9, requests=[message("/", b"{}", {}, host="x")]), [Phase(50, 0.2)]
    )
    assert seen.statuses() == {NO_ANSWER: 10}
