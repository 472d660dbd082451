"""The registry against a real MLflow: an SQLite file, and a server on this machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from tests.factories.release import release as make_release

from tonnage.errors import DependencyError, InputError, IntegrityError, NotFoundError
from tonnage.releases.mlflow_store import MlflowStore
from tonnage.releases.registry import Registered, Registry
from tonnage.releases.release import Release

START_S = 300
"""A busy machine of two cores needs a while to import MLflow."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home}/mlflow.db",
        "--artifacts-destination",
        str(home / "files"),
    ]
    with (home / "log").open("w") as log:
        quiet = os.environ | {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=home, env=quiet, start_new_session=True
        )
    try:
        _await_health(f"http://127.0.0.1:{port}", process, home / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _await_health(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=2):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            pass
        try:
            process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"mlflow server did not come up:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("database")


def _model_of_its_own() -> str:
    return f"shop-{uuid4().hex[:8]}"


@pytest.fixture
def local(database: Path) -> Registry:
    """An SQLite file: for rules that are ours and not the store's."""
    return Registry(f"sqlite:///{database}/mlflow.db", _model_of_its_own(), (database / "files").as_uri())


@pytest.fixture(params=["sqlite", "server"])
def place(request: pytest.FixtureRequest) -> tuple[str, str, str | None]:
    """URI, model name and where files go: for what each kind of MLflow must do."""
    if request.param == "server":
        return request.getfixturevalue("server"), _model_of_its_own(), None
    home = request.getfixturevalue("database")
    return f"sqlite:///{home}/mlflow.db", _model_of_its_own(), (home / "files").as_uri()


@pytest.fixture
def registry(place: tuple[str, str, str | None]) -> Registry:
    return Registry(*place)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    home = tmp_path_factory.mktemp("releases")
    made = {name: make_release(home, seed=seed) for seed, name in enumerate("abc")}
    return made | {"rejected": make_release(home, seed=9, accepted=False, ndcg=0.2)}


def in_mlflow(registry: Registry) -> dict[str, int]:
    """The aliases as any other tool sees them."""
    model = registry._store._client.get_registered_model(registry._store.model)
    return {alias: int(version) for alias, version in model.aliases.items()}


def test_a_release_goes_from_challenger_to_champion_to_previous_and_back(
    registry: Registry, releases: dict[str, Release]
):
    a, b = registry.register(releases["a"]), registry.register(releases["b"])
    assert (a.version, b.version) == (1, 2)
    assert in_mlflow(registry) == {"challenger": 2}
    registry.promote(a.id, by="ann")
    assert in_mlflow(registry) == {"challenger": 2, "champion": 1}
    registry.promote("challenger", by="ann", reason="better by 4 %")
    assert in_mlflow(registry) == {"champion": 2, "previous": 1}
    assert registry.rollback(by="bob", reason="orders fell").id == a.id
    assert in_mlflow(registry) == {"champion": 1}
    with pytest.raises(NotFoundError, match="no champion to roll back to"):
        registry.rollback(by="bob")
    told = [(entry.action, entry.release, entry.by, entry.reason) for entry in registry.history()]
    assert told == [
        ("promote", a.id, "ann", ""),
        ("promote", b.id, "ann", "better by 4 %"),
        ("rollback", a.id, "bob", "orders fell"),
    ]


def test_registering_again_changes_nothing(local: Registry, releases: dict[str, Release]):
    """`make up` runs again after an interruption, and must not number the same release twice."""
    first = local.register(releases["a"])
    assert local.register(releases["a"]) == first
    assert [each.id for each in local.list()] == [first.id]


def test_metrics_parameters_and_files_are_where_mlflow_shows_them(
    registry: Registry, releases: dict[str, Release], tmp_path: Path
):
    registry.register(releases["a"])
    details = registry.show(releases["a"].id)
    assert details.metrics["slate/all/ndcg_at_10"] == pytest.approx(0.4)
    assert details.params["retrieval.dimensions"] == "16"
    fetched = registry.fetch("challenger", tmp_path)
    assert fetched.manifest == releases["a"].manifest
    inode = (fetched.directory / "ranker.ubj").stat().st_ino
    assert registry.fetch("challenger", tmp_path).directory == fetched.directory
    assert (fetched.directory / "ranker.ubj").stat().st_ino == inode


def test_a_rejected_release_needs_force_and_a_reason(local: Registry, releases: dict[str, Release]):
    rejected = local.register(releases["rejected"])
    assert (rejected.status, rejected.aliases) == ("rejected", ())
    for attempt in ({}, {"force": True}, {"reason": "I like it"}, {"force": True, "reason": "  "}):
        with pytest.raises(InputError, match="--force and --reason"):
            local.promote(rejected.id, by="ann", **attempt)
    assert local.champion() is None
    local.promote(rejected.id, by="ann", force=True, reason="the baseline's supplier left")
    assert in_mlflow(local) == {"champion": 1}
    assert local.history()[-1].reason == "the baseline's supplier left"


def test_promoting_the_champion_again_writes_no_history(local: Registry, releases: dict[str, Release]):
    """Otherwise a rollback would go back to the release that it leaves."""
    local.register(releases["a"])
    for _ in range(2):
        local.promote(releases["a"].id, by="ann")
    assert len(local.history()) == 1


def test_an_interrupted_promotion_holds_and_the_next_command_sets_the_aliases(
    registry: Registry, releases: dict[str, Release]
):
    registry.register(releases["a"])
    version = registry._store.versions()[0]
    registry._store.append("promote", version, based_on=0, by="ann", reason="")
    assert in_mlflow(registry) == {"challenger": 1}
    assert registry.champion() is not None
    registry.register(releases["b"])
    assert in_mlflow(registry) == {"champion": 1, "challenger": 2}


def test_people_who_promote_at_the_same_moment_agree_afterwards(
    place: tuple[str, str, str | None], releases: dict[str, Release]
):
    """Each is told whether it was done; the aliases are those of the last entry that holds."""
    registry = Registry(*place)
    for name in "abc":
        registry.register(releases[name])
    ready = threading.Barrier(3)

    def promote(name: str) -> Registered | InputError:
        own = Registry(*place)
        own.list()
        ready.wait(timeout=60)
        try:
            return own.promote(releases[name].id, by=name)
        except InputError as lost:
            return lost

    with ThreadPoolExecutor(3) as people:
        outcomes = dict(zip("abc", people.map(promote, "abc"), strict=True))
    done = {name for name, outcome in outcomes.items() if isinstance(outcome, Registered)}
    history = registry.history()
    assert {entry.by for entry in history} == done
    assert done
    champion = registry.champion()
    assert champion is not None
    assert champion.id == history[-1].release
    assert in_mlflow(registry)["champion"] == champion.version


def test_the_one_who_lost_the_race_is_told_who_won(local: Registry, releases: dict[str, Release]):
    for name in "ab":
        local.register(releases[name])
    log_when_bob_looked = local._store.log()
    local.promote(releases["a"].id, by="ann")
    b = local._find(releases["b"].id, log_when_bob_looked)
    with pytest.raises(InputError, match=releases["a"].id):
        local._append("promote", b, log_when_bob_looked, by="bob", reason="")
    assert [entry.by for entry in local.history()] == ["ann"]


def test_files_changed_in_the_registry_are_refused(
    local: Registry, releases: dict[str, Release], tmp_path: Path
):
    """Whoever can write the artifact store cannot put another model into a pod."""
    registered = local.register(releases["a"])
    forged = tmp_path / "ranker.ubj"
    forged.write_bytes(b"something else")
    local._store._client.log_artifact(registered.run_id, str(forged), "release")
    with pytest.raises(IntegrityError, match=r"ranker\.ubj"):
        local.fetch(registered.id, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_another_whole_release_under_the_same_name_is_refused(
    local: Registry, releases: dict[str, Release], tmp_path: Path
):
    registered = local.register(releases["a"])
    local._store._client.log_artifacts(registered.run_id, str(releases["b"].directory), "release")
    with pytest.raises(IntegrityError, match="not the release that was registered"):
        local.fetch(registered.id, tmp_path)


def test_an_unknown_release_is_named(local: Registry, releases: dict[str, Release]):
    local.register(releases["a"])
    with pytest.raises(NotFoundError, match="r-19990101-00000000"):
        local.promote("r-19990101-00000000", by="ann")


def test_a_server_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://ann:secret@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DependencyError) as caught:
            MlflowStore(uri, "shop").versions()
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
