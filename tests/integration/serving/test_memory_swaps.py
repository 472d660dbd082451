"""A retriever of two workers whose vectors are swapped under traffic, and what it refuses to start with."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import orjson
import pytest

from tonnage.serving.local import HOST, LocalService, free_port, one_service, wait_until_ready

BENTO = Path(__file__).parents[3] / "bentos" / "retriever"
INFER = "/v2/models/retriever/infer"
QUERY = np.linspace(-1, 1, 16).tolist()
TRAFFIC = 4


def environment(release, **settings):
    return {
        **os.environ,
        "TONNAGE_RELEASE_DIR": str(release.directory),
        "BENTOML_DO_NOT_TRACK": "true",
        "PYTHONOPTIMIZE": "1",
        **settings,
    }


@pytest.fixture(scope="module")
def retriever(shop, tmp_path_factory):
    """Two workers with hot swap."""
    settings = {"TONNAGE_WORKERS": "2", "TONNAGE_HOT_SWAP": "true", "TONNAGE_ACCESS_LOG_EVERY": "1000"}
    with one_service(
        "retriever",
        free_port(),
        BENTO,
        tmp_path_factory.mktemp("retriever"),
        environment(shop.release, **settings),
    ) as service:
        wait_until_ready([service])
        yield service


def ask(service, method, path, body=None):
    """One request on a connection of its own, so that any worker may take it."""
    connection = HTTPConnection(HOST, service.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else orjson.dumps(body))
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    finally:
        connection.close()


def search(service):
    inputs = [{"name": "user_vector", "datatype": "FP32", "shape": [16], "data": QUERY}]
    status, answer = ask(service, "POST", INFER, {"inputs": inputs, "parameters": {"k": 5}})
    return status, answer["outputs"][0]["data"] if status == 200 else answer


@contextmanager
def traffic(service):
    """Requests without a pause until the context ends; yields how many had each status."""
    statuses, over = Counter(), threading.Event()

    def send():
        while not over.is_set():
            statuses[search(service)[0]] += 1

    senders = [threading.Thread(target=send) for _ in range(TRAFFIC)]
    for each in senders:
        each.start()
    try:
        yield statuses
    finally:
        over.set()
        for each in senders:
            each.join(30)


def workers(service):
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


def found_by_all(service):
    """What the workers find, each asked a few times."""
    return {tuple(search(service)[1]) for _ in range(20)}


def best(release):
    return tuple(np.argsort(-(release.item_vectors @ np.array(QUERY, np.float32)))[:5].tolist())


def test_no_request_fails_while_vectors_and_whole_indexes_are_swapped(retriever, shop):
    with traffic(retriever) as statuses:
        for row in (3, 77, 500):
            loudest = [100.0 * each for each in QUERY]
            path = f"/v1/items/{10_000 + row}/vector"
            assert ask(retriever, "PUT", path, {"vector": loudest})[0] == 200
            assert row in search(retriever)[1]
        for release in (shop.other, shop.release, shop.other):
            status, answer = ask(retriever, "PUT", "/v1/index", {"directory": str(release.directory)})
            assert (status, answer["vectors_of"]) == (200, release.id)
            assert found_by_all(retriever) == {best(release)}
    assert statuses[200] > 20
    assert set(statuses) <= {200, 503}, statuses
    # Refusals are admission's, at more than this machine carries; a swap makes none.
    assert statuses[503] <= statuses[200]


def test_a_worker_that_takes_a_dead_ones_place_serves_what_was_swapped(retriever, shop):
    assert ask(retriever, "PUT", "/v1/index", {"directory": str(shop.other.directory)})[0] == 200
    loudest = [100.0 * each for each in QUERY]
    assert ask(retriever, "PUT", "/v1/items/10042/vector", {"vector": loudest})[0] == 200
    before = workers(retriever)
    os.kill(before[0], signal.SIGKILL)
    expected = (42, *best(shop.other)[:4])
    # The put returns when every worker that lives has it, the new one included.
    assert ask(retriever, "PUT", "/v1/items/10042/vector", {"vector": loudest})[0] == 200
    assert found_by_all(retriever) == {expected}


def test_the_plan_is_shown_beside_what_is_measured(retriever):
    status, plan = ask(retriever, "GET", "/v1/memory")
    assert status == 200
    assert plan["chosen"] == "exact-f32"
    assert {each["name"] for each in plan["terms"]} >= {"processes", "requests", "catalogue", "replaced"}
    assert plan["measured_bytes"]["process"] < plan["planned_bytes"]
    measured = sum(_private(pid) for pid in (retriever.process.pid, *workers(retriever)))
    assert measured < plan["planned_bytes"]


def _private(pid):
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024


def test_where_to_listen_is_said_as_to_any_bento(shop, tmp_path):
    """A container says the port by BENTOML_PORT and nothing else."""
    port = free_port()
    settings = {"BENTOML_PORT": str(port), "BENTOML_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "bentoml", "serve", "service:Retriever", "--timeout-keep-alive", "75"],
        cwd=BENTO,
        env=environment(shop.release, **settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        service = LocalService(name="retriever", port=port, log=tmp_path / "none", process=process)
        wait_until_ready([service])
        assert search(service)[0] == 200
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("limit", "code", "sentence"),
    [
        ("64Mi", 9, "the memory limit of 64Mi.*the smallest limit that would do is"),
        ("64MB", 2, "TONNAGE_MEMORY_LIMIT: .*64MB.*512Mi"),
    ],
)
def test_a_limit_that_cannot_be_ends_the_start_with_one_sentence(shop, tmp_path, limit, code, sentence):
    """A pod that fits nothing must say what would do, where `kubectl describe` shows it."""
    ended = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "service:Retriever", "--port", str(free_port())],
        cwd=BENTO,
        env=environment(shop.release, TONNAGE_MEMORY_LIMIT=limit, BENTOML_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code
    (said,) = ended.stderr.splitlines()
    assert re.match(f"tonnage: .*{sentence}", said)
