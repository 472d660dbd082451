"""The latest feature row of each user, for serving; imports nothing that builds features."""

from pathlib import Path
from typing import Any, Protocol

from feast import FeatureStore

from tonnage.domain import UserId
from tonnage.features.address import TIMEOUT_S, is_redis, online_store_errors, sqlite_file
from tonnage.features.definitions import USER_ROW, open_store
from tonnage.features.rows import UserRow


class OnlineFeatures(Protocol):
    """The latest row of each user."""

    def read(self, user: UserId) -> UserRow:
        """The user's row; the cold row for a user who has none.

        Raises:
            DependencyError: the store failed or did not answer in time.
        """
        ...


def open_online(url: str, *, timeout_s: float = TIMEOUT_S) -> OnlineFeatures:
    """The online store at a URL, read through Feast. Redis may still be away: it is first needed by a read.

    Args:
        url: `redis://host:port/0`, or `sqlite:////absolute/path.db` where there is no cluster.
        timeout_s: how long Redis may take to connect, and to answer.

    Raises:
        ConfigError: the URL is neither.
    """
    return FeastOnline(open_feast(url, timeout_s=timeout_s), url)


def open_feast(url: str, *, timeout_s: float) -> FeatureStore:
    """Feast over the online store at a URL, to read from; `open_online` has the arguments and the errors."""
    with online_store_errors(url):
        # Serving reads no Parquet: the offline store is named, never opened, and must not need DuckDB.
        return open_store(
            Path("rows"), offline={"type": "file"}, online=online_store_settings(url, timeout_s=timeout_s)
        )


class FeastOnline:
    """`OnlineFeatures` from Feast's online store; safe to share between threads."""

    def __init__(self, store: FeatureStore, url: str) -> None:
        self._store = store
        self._service = store.get_feature_service(USER_ROW)
        self._url = url

    def read(self, user: UserId) -> UserRow:
        """See `OnlineFeatures`."""
        with online_store_errors(self._url):
            answer = self._store.get_online_features(features=self._service, entity_rows=[{"user_id": user}])
            return UserRow.from_features({name: cells[0] for name, cells in answer.to_dict().items()})


def online_store_settings(url: str, *, timeout_s: float) -> dict[str, Any]:
    """Feast's settings for the online store at a URL.

    Raises:
        ConfigError: neither redis:// nor sqlite:///.
    """
    if is_redis(url):
        return {
            "type": "tonnage.features.redis_online.BoundedRedisOnlineStore",
            "url": url,
            "timeout_s": timeout_s,
        }
    file = sqlite_file(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    return {"type": "sqlite", "path": str(file)}
