"""A user's row and session in one round trip, read past Feast's reader from what Feast wrote."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from tests.factories import shop
from tests.factories.redis import redis_server
from tests.factories.shop import assert_same_row

from tonnage.domain import ItemId, UserId
from tonnage.errors import DependencyError
from tonnage.features.online import open_online
from tonnage.features.redis_users import RedisUsers
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.features.sessions import open_sessions
from tonnage.features.store import materialize
from tonnage.serving.local import free_port
from tonnage.serving.ports import Call, LateError
from tonnage.serving.users import open_users
from tonnage.telemetry import Silent

USERS = [UserId(user) for user in (*shop.USERS, "silent", "ghost", "née {x}")]
LATER = (shop.OPENED.timestamp()) + 90 * 86_400


@asynccontextmanager
async def users_of(url: str, timeout_s: float = 5.0):
    users = RedisUsers(url, timeout_s=timeout_s)
    try:
        yield users
    finally:
        await users.close()


@pytest.fixture(name="url")
def _url(redis: str, built: Path) -> str:
    """A Redis that Feast has filled, where every other user has a session."""
    with Redis.from_url(f"{redis}/2") as client:
        client.flushdb()
    url = f"{redis}/2"
    materialize(built, url, progress=Silent())
    open_sessions(url, timeout_s=5).append([event(user, place) for user in USERS[::2] for place in range(3)])
    return url


def event(user: UserId, place: int) -> SessionEvent:
    return SessionEvent(
        event_id=f"e{place}", user_id=user, item_id=ItemId("i01"), kind="view", at=LATER + place, price=2.5
    )


async def test_it_is_what_feast_and_the_session_answer(url: str):
    """Feast is the writer: should it ever write otherwise, this reader must not guess."""
    feast, sessions = open_online(url, timeout_s=5), open_sessions(url, timeout_s=5)
    async with users_of(url) as users:
        found = [await users.read(user) for user in USERS]
        together = await asyncio.gather(*(users.read(user) for user in USERS))
    for user, one, other in zip(USERS, found, together, strict=True):
        expected = with_session(feast.read(user), sessions.read(user))
        assert_same_row(one, expected)
        assert_same_row(other, expected)
    assert found[0].values["events"] > 3


async def test_who_gave_up_leaves_no_answer_for_the_next(url: str):
    """On a kept connection the answer that nobody waited for would be another user's row."""
    async with users_of(url) as users:
        await users.read(USERS[0])
        given_up = [asyncio.ensure_future(users.read(user)) for user in USERS]
        await asyncio.sleep(0)
        for each in given_up:
            each.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert_same_row(await users.read(UserId("ghost2")), UserRow.cold())


async def test_an_answer_that_is_an_error_leaves_none_for_the_next(url: str):
    """Both questions are sent at once: the second's answer comes, whatever became of the first."""
    async with users_of(url) as users:
        expected = await users.read(USERS[0])
        with Redis.from_url(url) as redis:
            redis.set(users._format.key(UserId("mistyped")), "no hash")
        for _ in range(5):
            with pytest.raises(DependencyError, match="WRONGTYPE"):
                await users.read(UserId("mistyped"))
            assert_same_row(await users.read(USERS[0]), expected)


async def test_redis_may_come_later_and_go_away(built: Path, tmp_path: Path):
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    async with users_of(url) as users:
        with pytest.raises(DependencyError, match="online store failed"):
            await users.read(USERS[1])
        with redis_server(tmp_path, port):
            materialize(built, url, progress=Silent())
            assert (await users.read(USERS[1])).values["events"] > 0
        with pytest.raises(DependencyError):
            await users.read(USERS[1])
        with redis_server(tmp_path, port):
            assert_same_row(await users.read(USERS[1]), UserRow.cold())


@asynccontextmanager
async def redis_played_by(play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]):
    """Port of a server of our own; when it ends, so has every conversation."""
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with closing(writer):
            await play(reader, writer)
        await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    async with asyncio.timeout(10):
        await asyncio.gather(*talks)


async def test_a_silent_redis_costs_one_timeout():
    async def never_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        redis_played_by(never_answer) as port,
        users_of(f"redis://127.0.0.1:{port}/0", timeout_s=0.2) as users,
    ):
        started = asyncio.get_running_loop().time()
        with pytest.raises(DependencyError):
            await users.read(USERS[0])
        assert asyncio.get_running_loop().time() - started < 1


async def test_a_slow_redis_is_waited_for_while_the_request_has_time(url: str):
    """A shorter patience of the store's own would drop the user's features from an answer that has time."""
    real = urlsplit(url)

    async def delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection(real.hostname, real.port)
        with closing(redis_writer):
            while asked := await reader.read(65_536):
                redis_writer.write(asked)
                answered = await redis_reader.read(65_536)
                await asyncio.sleep(0.2)
                writer.write(answered)
        await redis_writer.wait_closed()

    async with redis_played_by(delay) as port, AsyncExitStack() as stack:
        users = open_users(f"redis://127.0.0.1:{port}{real.path}")
        stack.push_async_callback(users.close)
        row = await users.read(USERS[0], Call(request_id="r", timeout_s=5))
        assert row.values["events"] > 0
        with pytest.raises(LateError):
            await users.read(USERS[0], Call(request_id="r", timeout_s=0.05))
