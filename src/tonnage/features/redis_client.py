"""The one way to connect to Redis: lazily, with a deadline, and without waiting between retries."""

from typing import Any

from redis import Redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.retry import Retry

# redis-py's own default retries a timeout three times and sleeps between; a request has no such time.
# One retry at once is for a pooled connection that Redis, or the network, closed meanwhile.
_ONCE: dict[str, Any] = {"backoff": NoBackoff(), "retries": 1, "supported_errors": (LostConnection,)}


def connect(url: str, *, timeout_s: float) -> Redis:
    """A client for `redis://host:port/db`; no connection is made before the first command.

    Args:
        url: address, with the password if there is one; `rediss://` for TLS.
        timeout_s: how long connecting, and how long one answer may take.
    """
    return Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(**_ONCE)
    )


def connections(url: str, *, timeout_s: float) -> redis_asyncio.ConnectionPool:
    """Connections on asyncio, for one event loop; how long an answer is awaited is for the caller to say.

    Args:
        url: as for `connect`.
        timeout_s: how long connecting may take.
    """
    pool: redis_asyncio.ConnectionPool = redis_asyncio.ConnectionPool.from_url(
        url, socket_connect_timeout=timeout_s, retry=AsyncRetry(**_ONCE)
    )
    return pool
