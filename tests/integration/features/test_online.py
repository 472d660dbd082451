"""The online store, read by Feast from a real Redis and from SQLite."""

import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from tests.factories import shop
from tests.factories.redis import redis_server
from tests.factories.shop import assert_same_row

from tonnage.domain import UserId
from tonnage.errors import ConfigError, DependencyError, NotFoundError
from tonnage.features.address import without_password
from tonnage.features.config import FeaturesConfig
from tonnage.features.online import open_online
from tonnage.features.rows import UserRow
from tonnage.features.sessions import open_sessions
from tonnage.features.store import OfflineFeatures, build, materialize
from tonnage.serving.local import free_port
from tonnage.telemetry import Silent

USERS = [UserId(user) for user in (*shop.USERS, "silent", "ghost")]
NOW = shop.OPENED + timedelta(days=shop.DAYS + 1)


def test_serving_reads_exactly_what_training_would_be_given_now(built: Path, online: str):
    """Training-serving skew is a bug that no metric of either side shows."""
    assert materialize(built, online, progress=Silent()) == len(shop.USERS) + 1
    served, trained = open_online(online, timeout_s=5), OfflineFeatures(built).user_rows(USERS, NOW)
    for user in USERS:
        assert_same_row(served.read(user), trained[user])


def test_a_user_nobody_knows_is_cold(online: str):
    """Also while nothing has been materialised yet: a new installation must answer."""
    assert_same_row(open_online(online, timeout_s=5).read(UserId("ghost")), UserRow.cold())


def test_the_last_writer_wins(built: Path, online: str, tmp_path: Path):
    """A corrected row has the time of the same last event, and going back to an older build is meant."""
    events = shop.interactions()
    corrected = events.assign(quantity=events["quantity"] * 2)
    shorter = events[events["at"] < shop.OPENED + timedelta(days=20)]
    for name, each in (("corrected", corrected), ("shorter", shorter)):
        data = shop.write(each, tmp_path / name)
        build(data, tmp_path / f"{name}-features", FeaturesConfig(), progress=Silent())
    for features in (built, tmp_path / "corrected-features", tmp_path / "shorter-features", built):
        materialize(features, online, progress=Silent())
        served, meant = open_online(online, timeout_s=5), OfflineFeatures(features).user_rows(USERS, NOW)
        for user in USERS:
            assert_same_row(served.read(user), meant[user])


def test_threads_share_a_store(built: Path, online: str):
    """The endpoint reads from a pool of threads."""
    materialize(built, online, progress=Silent())
    served, failures = open_online(online, timeout_s=5), []
    expected = {user: served.read(user) for user in USERS}

    def read_all() -> None:
        try:
            for user in USERS * 5:
                assert_same_row(served.read(user), expected[user])
        except Exception as error:  # noqa: BLE001 — whatever it is, the test's thread must tell it
            failures.append(error)

    readers = [threading.Thread(target=read_all) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert failures == []


def test_redis_may_come_later_and_go_away(built: Path, tmp_path: Path):
    """Pods start in any order; a read then fails in time, in our words, and works once Redis is there."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    served, sessions = open_online(url, timeout_s=1), open_sessions(url, timeout_s=1)
    with pytest.raises(DependencyError, match="online store failed"):
        served.read(UserId("u1"))
    with redis_server(tmp_path, port):
        materialize(built, url, progress=Silent())
        assert served.read(UserId("u1")).values["events"] > 0
        assert sessions.read(UserId("u1")) == []
    with pytest.raises(DependencyError):
        served.read(UserId("u1"))
    with pytest.raises(DependencyError):
        sessions.read(UserId("u1"))


def test_a_silent_redis_costs_one_timeout(tmp_path: Path):
    """A client that retries would spend ten deadlines on one request."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        served = open_online(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", timeout_s=0.2)
        started = time.monotonic()
        with pytest.raises(DependencyError):
            served.read(UserId("u1"))
        assert time.monotonic() - started < 1


def test_features_that_were_not_built_are_asked_for_by_name(tmp_path: Path):
    for ask in (OfflineFeatures, lambda path: materialize(path, f"sqlite:///{path}/o.db", progress=Silent())):
        with pytest.raises(NotFoundError, match="tonnage features build"):
            ask(tmp_path)


def test_an_interrupted_build_leaves_the_former_rows(tmp_path: Path):
    """A half of the new rows beside a half of the old ones would train without a word."""
    data = shop.write(shop.interactions(), tmp_path / "data")
    build(data, tmp_path / "features", FeaturesConfig(), progress=Silent())
    before = pd.read_parquet(tmp_path / "features" / "rows" / "item_stats.parquet")

    class Impatient(Silent):
        def say(self, line: str) -> None:
            raise KeyboardInterrupt

    shop.write(shop.interactions(seed=8), tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "other", tmp_path / "features", FeaturesConfig(), progress=Impatient())
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "features" / "rows" / "item_stats.parquet"), before
    )
    assert [file.name for file in (tmp_path / "features").iterdir()] == ["rows"]


@pytest.mark.parametrize("url", ["http://host/0", "sqlite:///", "host:6379"])
def test_another_url_is_refused(url: str):
    with pytest.raises(ConfigError, match="redis://host:port/0"):
        open_online(url)


def test_a_password_does_not_stand_in_an_error():
    assert without_password("redis://:secret@host:6379/0") == "redis://:***@host:6379/0"


def test_serving_needs_nothing_that_builds_features():
    """The serving image has neither Ibis nor DuckDB nor scikit-learn."""
    script = (
        "import sys\n"
        "for name in ('ibis', 'duckdb', 'sklearn', 'implicit', 'pandera'): sys.modules[name] = None\n"
        "from tonnage.features.online import open_online\n"
        "from tonnage.features.sessions import open_sessions\n"
        "open_online('redis://127.0.0.1:1/0'); open_sessions('redis://127.0.0.1:1/0')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
