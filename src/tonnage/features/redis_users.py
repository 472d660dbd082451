"""Everything that Redis knows of a user, in one round trip and without a thread.

Feast's own reader asks for the features alone, blocks a thread meanwhile, and builds an answer for many
users and views of which one row is needed: 0.6 ms of a core, and 0.1 ms for the session after that. Asked
together on asyncio, and read by Feast's own codec, they take 0.2. The client's connections are used without
its pipelines and its timer for each write and read, which took a quarter more.
"""

import asyncio
from typing import Any

from redis.exceptions import ConnectionError as LostConnection

from tonnage.domain import UserId
from tonnage.errors import DependencyError
from tonnage.features.address import TIMEOUT_S, online_store_errors
from tonnage.features.definitions import USER_ROW
from tonnage.features.online import open_feast
from tonnage.features.redis_client import connections
from tonnage.features.redis_online import UserFormat
from tonnage.features.redis_sessions import events_key, events_of
from tonnage.features.rows import UserRow, with_session


class RedisUsers:
    """Users' rows with their sessions folded in; belongs to one event loop.

    Args:
        url: of the online store.
        timeout_s: how long Redis may take to connect, and to answer.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._format = UserFormat(open_feast(url, timeout_s=timeout_s), USER_ROW)
        self._timeout_s = timeout_s
        self._connections = connections(url, timeout_s=timeout_s)

    async def read(self, user: UserId) -> UserRow:
        """The user's row as of now; the cold row for a user nobody knows.

        Raises:
            DependencyError: the store failed or did not answer in time.
        """
        try:
            with online_store_errors(self._url):
                async with asyncio.timeout(self._timeout_s):
                    return self._row(user, *await self._answers(user))
        except TimeoutError as error:
            raise DependencyError("the online store did not answer in time", user=user) from error

    async def close(self) -> None:
        """Let the connections go."""
        await self._connections.disconnect()

    async def _answers(self, user: UserId) -> tuple[Any, Any]:
        try:
            return await self._asked(user)
        except LostConnection:
            # Redis, or the network, closed a kept connection in that very moment.
            return await self._asked(user)

    async def _asked(self, user: UserId) -> tuple[Any, Any]:
        connection = await self._connections.get_connection()
        try:
            # Two questions, one packet: nothing needs them to be of the same instant.
            await connection.send_packed_command(
                [
                    *connection.pack_command("HMGET", self._format.key(user), *self._format.fields),
                    *connection.pack_command("HGETALL", events_key(user)),
                ]
            )
            values = await connection.read_response()
            pairs = await connection.read_response()
        except BaseException:
            # An answer that nobody read would be the next user's.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._connections.release(connection)
        # A hash comes as field, value, field, value.
        return values, dict(zip(pairs[::2], pairs[1::2], strict=True))

    def _row(self, user: UserId, values: Any, session: Any) -> UserRow:
        row = UserRow.from_features(self._format.features(values))
        return with_session(row, events_of(user, session)) if session else row
