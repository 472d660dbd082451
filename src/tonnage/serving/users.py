"""Users from the online store: a few threads around clients that block."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, TypeVar

from tonnage.domain import UserId
from tonnage.errors import DependencyError
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.ports import Call, LateError

if TYPE_CHECKING:
    from tonnage.features.online import OnlineFeatures
    from tonnage.features.sessions import Sessions

THREADS = 8
"""Reads at a time. One takes about a millisecond."""

WAITING = 4 * THREADS
"""Reads under way or waiting, beyond which the store is taken to hang and further ones fail at once."""

T = TypeVar("T")


class StoredUsers:
    """The feature store's row with the session folded in."""

    def __init__(self, features: "OnlineFeatures", sessions: "Sessions") -> None:
        self._features = features
        self._sessions = sessions
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="online-store")
        self._room = BoundedSemaphore(WAITING)

    async def read(self, user: UserId, call: Call) -> UserRow:
        """See `Users.read`."""
        return await self._run(call.timeout_s, lambda: self._read(user))

    async def append(self, events: Sequence[SessionEvent], *, timeout_s: float) -> int:
        """Store events; how many were new.

        Raises:
            LateError: no answer in time; the events may be stored or not, sending them again is safe.
            DependencyError: the store does not answer.
        """
        return await self._run(timeout_s, lambda: self._sessions.append(events))

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, user: UserId) -> UserRow:
        return with_session(self._features.read(user), self._sessions.read(user))

    async def _run(self, timeout_s: float, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise DependencyError("the online store does not keep up")
        future = self._pool.submit(work)
        # A thread goes on after its caller gave up, so it is its own end that makes room.
        future.add_done_callback(lambda _future: self._room.release())
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise LateError("the online store did not answer in time", timeout_s=timeout_s) from error
