"""What a caller of the three running services sees."""

import os
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection

import orjson
import pytest
from tests.integration.serving.conftest import BENTOS, KNOWN, KNOWN_ITEMS

from tonnage.serving.local import free_port, one_service, post, serve_locally, wait_until_ready
from tonnage.telemetry import Silent

SLATES = "/v1/recommendations"
CONFLICTS = "tonnage_release_conflicts_total"


@pytest.fixture(scope="module")
def services(shop, tmp_path_factory):
    """Retriever, ranker and recommender, ready."""
    with serve_locally(
        shop.release.directory,
        online_store=shop.online_store,
        bentos_dir=BENTOS,
        work_dir=tmp_path_factory.mktemp("serve"),
        settings={"TONNAGE_DEADLINE_MS": "5000"},
        progress=Silent(),
    ) as running:
        yield running


@pytest.fixture
def recommender(services):
    return services[-1]


def get(service, path, **headers):
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@contextmanager
def impostor(release_dir, port, work_dir):
    """A retriever of another release, where the right one is expected."""
    environment = {**os.environ, "TONNAGE_RELEASE_DIR": str(release_dir)}
    directory = work_dir / "impostor"
    directory.mkdir()
    with one_service("retriever", port, BENTOS / "retriever", directory, environment) as service:
        wait_until_ready([service])
        yield


def exposures(service):
    lines = service.log.read_text().splitlines()
    records = [orjson.loads(line) for line in lines if line.startswith("{")]
    return [each for each in records if each.get("kind") == "exposure"]


def test_a_known_user_gets_a_slate_from_history(recommender, shop):
    """Feature store, all four sources, retriever and ranker took part: no fallback."""
    status, answer = post(recommender, SLATES, {"user_id": KNOWN, "k": 20})
    assert status == 200
    assert "fallback" not in answer
    assert answer["release"] == shop.release.id
    assert len({item["item_id"] for item in answer["items"]}) == 20
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    record = exposures(recommender)[-1]
    assert record["user"] == KNOWN
    assert not record["cold"]
    assert all(record["candidates"][source] > 0 for source in ("vectors", "repeats", "co_purchase", "trend"))


def test_a_cold_user_gets_trends(recommender):
    status, answer = post(recommender, SLATES, {"user_id": "never seen", "k": 5})
    assert (status, len(answer["items"])) == (200, 5)
    assert "fallback" not in answer
    assert all("trend" in item["sources"] for item in answer["items"])
    assert exposures(recommender)[-1]["cold"]


def test_an_event_is_known_to_the_next_request(recommender):
    """A new user's first purchase must matter at once, and sending it twice must change nothing."""
    batch = {"events": [{"event_id": "n1", "user_id": "new", "item_id": "10042"}]}
    assert post(recommender, "/v1/events", batch)[1]["new"] == 1
    assert post(recommender, "/v1/events", batch)[1] | {"request_id": ""} == {
        "request_id": "",
        "new": 0,
        "known": 1,
    }
    answer = post(recommender, SLATES, {"user_id": "new", "k": 100})[1]
    proposed = {source for item in answer["items"] for source in item["sources"]}
    assert "vectors" in proposed
    assert not exposures(recommender)[-1]["cold"]


def test_rules_hold_for_every_item(recommender):
    body = {
        "user_id": KNOWN,
        "k": 100,
        "filters": {"category": "garden", "price_min": 2, "price_max": 12},
        "exclude": ["10012", "no such item"],
        "exclude_seen": True,
        "context": {"items": ["10015", "neither"]},
    }
    answer = post(recommender, SLATES, body)[1]
    items = {item["item_id"] for item in answer["items"]}
    assert items
    assert items.isdisjoint({"10012", "10015", *KNOWN_ITEMS})
    assert all(item["title"].startswith("GARDEN") for item in answer["items"])
    assert answer["unknown_items"] == ["neither", "no such item"]


def test_an_explanation_names_features_of_the_release(recommender, shop):
    answer = post(recommender, SLATES, {"user_id": KNOWN, "k": 3, "explain": True})[1]
    for item in answer["items"]:
        assert item["reasons"]
        assert {reason["feature"] for reason in item["reasons"]} <= set(shop.release.manifest.features.all)


def test_similar_items_are_of_the_same_kind(recommender):
    status, answer = post(recommender, "/v1/similar-items", {"item_id": "10004", "k": 10})
    assert status == 200
    assert "10004" not in {item["item_id"] for item in answer["items"]}
    assert sum(item["title"].startswith("KITCHEN") for item in answer["items"]) >= 8


def test_metrics_are_in_one_answer_and_bounded(recommender):
    """A scanner's paths must not become labels."""
    get(recommender, "/wp-login.php")
    status, body = get(recommender, "/metrics")
    text = body.decode()
    assert status == 200
    assert 'route="/v1/recommendations"' in text
    assert "tonnage_candidates_total" in text
    assert "wp-login" not in text


def test_operators_find_their_paths(services):
    for service in services:
        assert get(service, "/livez")[0] == get(service, "/readyz")[0] == 200
    assert get(services[0], "/v2/health/ready")[0] == 200
    status, body = get(services[-1], "/docs")
    assert status == 200
    script = body.decode().split('src="')[1].split('"')[0]
    assert get(services[-1], script)[0] == 200


def test_a_call_for_another_release_is_refused(services, shop):
    for service, name in zip(services[:2], ("retriever", "ranker"), strict=True):
        path = f"/v2/models/{name}"
        assert get(service, path, **{"x-tonnage-release": shop.release.id})[0] == 200
        status, body = get(service, path, **{"x-tonnage-release": shop.other.id})
        assert status == 409
        assert shop.release.id in orjson.loads(body)["error"]


def test_a_release_that_was_tampered_with_is_not_served(shop, tmp_path):
    """One line that names the file, and an exit code, instead of a pod that answers nonsense."""
    directory = tmp_path / shop.release.id
    subprocess.run(["cp", "-r", shop.release.directory, directory], check=True)
    with (directory / "retrieval" / "item_vectors.npy").open("r+b") as file:
        file.seek(400)
        file.write(b"\0\1\2\3")
    ended = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "service:Retriever", "--port", str(free_port())],
        cwd=BENTOS / "retriever",
        env={**os.environ, "TONNAGE_RELEASE_DIR": str(directory), "BENTOML_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in ended.stderr.splitlines() if line.startswith("tonnage:")]
    assert ended.returncode == 5
    assert len(said) == 1
    assert "item_vectors.npy" in said[0]


def test_parts_that_go_away_are_named_and_the_rest_goes_on(shop, tmp_path):
    """A dead ranker, a mixed-up retriever: answers get worse, are honest about it, and never fail."""
    with serve_locally(
        shop.release.directory,
        online_store=shop.online_store,
        bentos_dir=BENTOS,
        work_dir=tmp_path,
        settings={"TONNAGE_DEADLINE_MS": "3000"},
        progress=Silent(),
    ) as (retriever, ranker, recommender):
        ranker.stop()
        status, answer = post(recommender, SLATES, {"user_id": KNOWN, "k": 10, "explain": True})
        assert (status, answer["fallback"], len(answer["items"])) == (200, "ranker-unavailable", 10)
        assert all("reasons" not in item for item in answer["items"])

        retriever.stop()
        with impostor(shop.other.directory, retriever.port, tmp_path):
            status, answer = post(recommender, SLATES, {"user_id": KNOWN, "k": 10})
            assert (status, answer["release"]) == (200, shop.release.id)
            assert all("vectors" not in item["sources"] for item in answer["items"])
            similar = post(recommender, "/v1/similar-items", {"item_id": "10004", "k": 5})[1]
            assert similar["fallback"] == "retriever-unavailable"
            assert similar["items"]
            text = get(recommender, "/metrics")[1].decode()
            assert 'fallback="retriever-unavailable"' in text
            conflicts = next(line for line in text.splitlines() if line.startswith(CONFLICTS))
            assert float(conflicts.split()[-1]) >= 2
        assert get(recommender, "/readyz")[0] == 200
