"""Users from the online store, each call within its time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Protocol, TypeVar

from tonnage.domain import UserId
from tonnage.errors import DependencyError
from tonnage.features.address import is_redis
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.ports import Call, LateError

if TYPE_CHECKING:
    from tonnage.features.online import OnlineFeatures
    from tonnage.features.sessions import Sessions

THREADS = 8
"""Calls of a blocking client at a time. One takes about a millisecond."""

WAITING = 4 * THREADS
"""Calls under way or waiting, beyond which the store is taken to hang and further ones fail at once."""

T = TypeVar("T")


class Reader(Protocol):
    """Reads users' rows with their sessions folded in."""

    async def read(self, user: UserId) -> UserRow:
        """The user's row as of now.

        Raises:
            DependencyError: the store failed.
        """
        ...

    async def close(self) -> None:
        """Let connections go."""
        ...


class StoredUsers:
    """The feature store's row with the session folded in.

    Args:
        reader: of both.
        sessions: where events are appended.
        threads: for that.
    """

    def __init__(self, reader: Reader, sessions: "Sessions", threads: "Threads") -> None:
        self._reader = reader
        self._sessions = sessions
        self._threads = threads

    async def read(self, user: UserId, call: Call) -> UserRow:
        """See `Users.read`."""
        async with _within(call.timeout_s):
            return await self._reader.read(user)

    async def append(self, events: Sequence[SessionEvent], *, timeout_s: float) -> int:
        """Store events; how many were new.

        Raises:
            LateError: no answer in time; the events may be stored or not, sending them again is safe.
            DependencyError: the store does not answer.
        """
        async with _within(timeout_s):
            return await self._threads.run(lambda: self._sessions.append(events))

    async def close(self) -> None:
        """Let threads and connections go."""
        self._threads.close()
        await self._reader.close()


class Threads:
    """A few threads around clients that block."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="online-store")
        self._room = BoundedSemaphore(WAITING)

    async def run(self, work: Callable[[], T]) -> T:
        """Do it in a thread.

        Raises:
            DependencyError: too many calls are under way.
        """
        if not self._room.acquire(blocking=False):
            raise DependencyError("the online store does not keep up")
        future = self._pool.submit(work)
        # A thread goes on after its caller gave up, so it is its own end that makes room.
        future.add_done_callback(lambda _future: self._room.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let them end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class BlockingReader:
    """`Reader` by clients that block, of SQLite."""

    def __init__(self, features: "OnlineFeatures", sessions: "Sessions", threads: Threads) -> None:
        self._features = features
        self._sessions = sessions
        self._threads = threads

    async def read(self, user: UserId) -> UserRow:
        """See `Reader.read`."""
        return await self._threads.run(
            lambda: with_session(self._features.read(user), self._sessions.read(user))
        )

    async def close(self) -> None:
        """See `Reader.close`: each read opens its own connection."""


def open_users(url: str) -> StoredUsers:
    """The users of the online store at a URL, for the running event loop. Redis may come later.

    Raises:
        ConfigError: the URL is neither redis:// nor sqlite:///.
    """
    # Feast and pandas weigh more than all the rest. BentoML's supervisor imports the application too, and
    # never gets here.
    from tonnage.features.sessions import open_sessions

    sessions, threads = open_sessions(url), Threads()
    return StoredUsers(_reader(url, sessions, threads), sessions, threads)


def _reader(url: str, sessions: "Sessions", threads: Threads) -> Reader:
    if is_redis(url):
        from tonnage.features.redis_users import RedisUsers

        return RedisUsers(url)
    from tonnage.features.online import open_online

    return BlockingReader(open_online(url), sessions, threads)


@asynccontextmanager
async def _within(timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise LateError("the online store did not answer in time", timeout_s=timeout_s) from error
