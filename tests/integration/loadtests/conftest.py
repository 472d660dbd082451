"""A small shop on this machine, and Locust in front of it as a person starts it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from tests.factories.release import VOCABULARIES, release
from tests.integration.serving.conftest import BENTOS, Served, serving, write_history

from tonnage.features import ranking
from tonnage.features.config import FeaturesConfig
from tonnage.features.store import build, materialize
from tonnage.serving.local import LocalService, free_port, one_service, wait_until_ready
from tonnage.telemetry import Silent

LOADTESTS = Path(__file__).parents[3] / "loadtests"
LOCUST = Path(sys.executable).with_name("locust")

# The measuring scripts import each other as a person starts them: from their own directory. Last, so that
# none of their short names hides a module of somebody else.
sys.path.append(str(LOADTESTS))


@dataclass(frozen=True)
class SmallShop:
    """A project directory with data and a release, and the three services that serve it."""

    project: Path
    release: str
    retriever: Served
    ranker: Served
    recommender: LocalService


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory) -> Iterator[SmallShop]:
    project = tmp_path_factory.mktemp("small-shop")
    data, online = project / "build" / "data", f"sqlite:///{project / 'online.db'}"
    about = {"items": 600, "names": ranking.names(VOCABULARIES), "vocabularies": VOCABULARIES}
    made = release(project / "build" / "releases", **about)
    write_history(data)
    made.items.select(["item_id", "category", "price"]).to_pandas().to_parquet(data / "items.parquet")
    build(data, project / "features", FeaturesConfig(), progress=Silent())
    materialize(project / "features", online, progress=Silent())
    work = project / "work"
    with serving("retriever", made, work) as retriever, serving("ranker", made, work) as ranker:
        environment = {
            **os.environ,
            "TONNAGE_RELEASE_DIR": str(made.directory),
            "TONNAGE_ONLINE_STORE": online,
            "TONNAGE_RETRIEVER_URL": retriever.service.url,
            "TONNAGE_RANKER_URL": ranker.service.url,
            "TONNAGE_DEADLINE_MS": "5000",
            "BENTOML_DO_NOT_TRACK": "true",
        }
        port = free_port()
        with one_service("recommender", port, BENTOS / "recommender", work, environment) as recommender:
            wait_until_ready([recommender])
            yield SmallShop(project, made.id, retriever, ranker, recommender)


def command(*told: str) -> list[str]:
    """Locust without its page."""
    return [str(LOCUST), "-f", str(LOADTESTS / "locustfile.py"), "--only-summary", *told]


def people(host: str, users: int, seconds: int | None, *told: str) -> list[str]:
    """People in front of somebody, all from the start."""
    many = ("--users", str(users), "--spawn-rate", str(users))
    time = () if seconds is None else ("--run-time", f"{seconds}s")
    return command("--headless", "--host", host, *many, *time, *told)


def ended(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Locust, when it has ended."""
    return subprocess.run(
        arguments,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@contextmanager
def running(arguments: Sequence[str], directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Locust while it runs; killed if it is still there at the end, or after a minute."""
    with subprocess.Popen(
        arguments,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as started:
        # Whoever waits for what it says would wait for ever.
        late = threading.Timer(60, started.kill)
        late.start()
        try:
            yield started
        finally:
            late.cancel()
            if started.poll() is None:
                started.kill()


def said(process: subprocess.Popen[str], what: str) -> None:
    """Return when a process has said something.

    Raises:
        AssertionError: it ended without.
    """
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if what in line:
            return
    raise AssertionError("".join(heard))


def listening(process: subprocess.Popen[str], port: int) -> None:
    """Return when a process takes connections.

    Raises:
        AssertionError: it does not within ten seconds, or ended.
    """
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise AssertionError(f"nobody listens on {port}; exit code {process.returncode}")


def asked(run) -> pd.DataFrame:
    """The requests of a run."""
    return run.requests.to_pandas()
