"""Sessions in a real Redis and in SQLite keep the same promises."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from redis import Redis

from tonnage.domain import ItemId, UserId
from tonnage.features.checks import SESSIONS_CHECKS, Check
from tonnage.features.redis_sessions import RedisSessions
from tonnage.features.rows import SessionEvent
from tonnage.features.sessions import open_sessions
from tonnage.features.sqlite_sessions import SqliteSessions

ANNE = UserId("anne")
EACH = 20
"""Events that each of several processes sends."""


def event(number: int) -> SessionEvent:
    return SessionEvent(
        event_id=f"e{number}", user_id=ANNE, item_id=ItemId("lamp"), kind="view", at=1.3e9 + number
    )


def send_all(url: str) -> int:
    """Append the same events, one at a time; how many were new."""
    sessions = open_sessions(url, timeout_s=10)
    return sum(sessions.append([event(number)]) for number in range(EACH))


def eventually(true: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while not (done := true()) and time.monotonic() < deadline:
        pass
    return done


@pytest.mark.parametrize("check", SESSIONS_CHECKS, ids=lambda check: check.__name__)
def test_the_adapter_keeps_the_promise(check: Check, online: str):
    check(open_sessions(online, timeout_s=5))


def test_workers_that_send_the_same_events_count_each_once(online: str):
    """Several workers of one pod share the store, and a caller repeats what it got no answer for."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as workers:
        new = list(workers.map(send_all, [online] * 3))
    assert sum(new) == EACH
    assert len(open_sessions(online, timeout_s=5).read(ANNE)) == EACH


def test_sqlite_forgets_a_user_who_stays_away(tmp_path: Path):
    now = [1000.0]
    sessions = SqliteSessions(f"sqlite:///{tmp_path}/online.db", ttl_s=60, clock=lambda: now[0])
    sessions.append([event(1)])
    now[0] += 59
    sessions.append([event(2)])
    now[0] += 59
    assert len(sessions.read(ANNE)) == 2
    now[0] += 1
    assert sessions.read(ANNE) == []


def test_redis_forgets_a_user_who_stays_away(redis: str):
    """Without an expiry Redis only grows."""
    url = f"{redis}/1"
    sessions = RedisSessions(url, timeout_s=5, ttl_s=1)
    sessions.append([event(1)])
    assert len(sessions.read(ANNE)) == 1
    with Redis.from_url(url) as client:
        assert eventually(lambda: client.dbsize() == 0)
