"""Where the online store is, and how its failures are told; imports no store, so that it costs nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from tonnage.errors import ConfigError, DependencyError

TIMEOUT_S = 1.0
"""How long Redis may take to connect, and to answer.

A request has a deadline of its own, which a shorter time here would undercut: this one ends
calls that nobody waits for any more."""


def is_redis(url: str) -> bool:
    """Whether the URL names a Redis."""
    return urlsplit(url).scheme in ("redis", "rediss")


def sqlite_file(url: str) -> Path:
    """The absolute path in `sqlite:///relative` or `sqlite:////absolute`.

    Raises:
        ConfigError: any other URL.
    """
    if not url.startswith("sqlite:///") or url == "sqlite:///":
        raise ConfigError(
            "not an online store",
            hint="Use redis://host:port/0 or sqlite:///path/online.db.",
            url=without_password(url),
        )
    return Path(url.removeprefix("sqlite:///")).absolute()


@contextmanager
def online_store_errors(url: str) -> Iterator[None]:
    """Say failures of the store in our own words.

    Raises:
        DependencyError: in place of what Redis or SQLite raised.
    """
    try:
        yield
    except (RedisError, sqlite3.Error) as error:
        raise DependencyError(
            f"the online store failed: {error}",
            hint="Is it up, and reachable from here?",
            store=without_password(url),
        ) from error


def without_password(url: str) -> str:
    """The URL as it may stand in a log."""
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url
