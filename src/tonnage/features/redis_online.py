"""Redis as Feast's online store, with a client that fails within its deadline."""

from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from redis import Redis

from tonnage.features.redis_client import connect


class BoundedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no types
    """Feast's settings, with the URL and the timeout that its connection string cannot hold."""

    type: Literal["tonnage.features.redis_online.BoundedRedisOnlineStore"]
    url: str
    timeout_s: float
    # Feast would keep a row whose time is not older than the new one's. A rebuilt row has the time of the
    # same last event, and going back to an earlier build is a person's decision: the last writer must win.
    skip_dedup: bool = True


class BoundedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]  # Feast ships no types
    """Feast's Redis store on our client."""

    _client: Redis | None = None

    def _get_client(self, online_store_config: Any) -> Redis:
        if self._client is None:
            self._client = connect(online_store_config.url, timeout_s=online_store_config.timeout_s)
        return self._client
