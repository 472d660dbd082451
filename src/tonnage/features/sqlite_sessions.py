"""Sessions in SQLite, where there is no cluster; several processes may share the file."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from tonnage.domain import UserId
from tonnage.features.address import online_store_errors, sqlite_file
from tonnage.features.rows import SessionEvent
from tonnage.features.sessions import RECENT, TTL_S, by_user, decode, encode, latest_first

SCHEMA = """
CREATE TABLE IF NOT EXISTS session_events (
    user_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at REAL NOT NULL,
    payload TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (user_id, event_id)
) WITHOUT ROWID
"""

FORGET_OLDEST = """
DELETE FROM session_events WHERE user_id = :user AND event_id IN (
    SELECT event_id FROM session_events WHERE user_id = :user
    ORDER BY at DESC, event_id DESC LIMIT -1 OFFSET :kept
)
"""

BUSY_S = 5.0
"""How long a writer waits for another process's."""


class SqliteSessions:
    """`Sessions` in the file `<name>-sessions.db` beside the online store; safe to share between threads.

    Args:
        url: of the online store.
        ttl_s: see `sessions.TTL_S`.
        clock: seconds since the epoch.
    """

    def __init__(self, url: str, *, ttl_s: float = TTL_S, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        store = sqlite_file(url)
        self._file = store.with_name(f"{store.stem}-sessions.db")
        self._ttl_s = ttl_s
        self._clock = clock

    def append(self, events: Sequence[SessionEvent]) -> int:
        """See `Sessions`."""
        with self._transaction() as rows:
            now = self._clock()
            rows.execute("DELETE FROM session_events WHERE expires <= ?", (now,))
            return sum(self._append_of(user, theirs, rows, now) for user, theirs in by_user(events))

    def read(self, user: UserId) -> list[SessionEvent]:
        """See `Sessions`."""
        with self._transaction("DEFERRED") as rows:
            kept = rows.execute(
                "SELECT event_id, payload FROM session_events WHERE user_id = ? AND expires > ?",
                (user, self._clock()),
            ).fetchall()
        return latest_first(decode(user, event_id, payload) for event_id, payload in kept)

    def _append_of(
        self, user: UserId, events: Sequence[SessionEvent], rows: sqlite3.Connection, now: float
    ) -> int:
        before = _ids(rows, user)
        rows.executemany(
            "INSERT OR IGNORE INTO session_events VALUES (?, ?, ?, ?, 0)",
            [(user, event.event_id, event.at, encode(event)) for event in events],
        )
        rows.execute(FORGET_OLDEST, {"user": user, "kept": RECENT})
        rows.execute("UPDATE session_events SET expires = ? WHERE user_id = ?", (now + self._ttl_s, user))
        return len(_ids(rows, user) - before)

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        # A connection each time costs a tenth of a millisecond and needs neither a lock between threads nor
        # care after a fork.
        with online_store_errors(self._url):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=BUSY_S, isolation_level=None)) as rows:
                rows.execute("PRAGMA journal_mode = WAL")
                rows.execute("PRAGMA synchronous = NORMAL")
                rows.execute(SCHEMA)
                rows.execute(f"BEGIN {kind}")
                with rows:
                    yield rows


def _ids(rows: sqlite3.Connection, user: UserId) -> set[str]:
    found = rows.execute("SELECT event_id FROM session_events WHERE user_id = ?", (user,))
    return {event_id for (event_id,) in found}
