"""Who may be loaded, and what counts as a recommender's answer."""

import json

import pytest

from hosts import GRPC, HTTP, Address, no_recommender, release_of_model, require_allowed
from tonnage.errors import ConfigError, DependencyError

RELEASE = {
    "id": "r-20111209-0a4f7cef",
    "track": "stable",
    "until": "2011-12-09T12:50:00Z",
    "items": 3659,
    "fingerprint": "f",
    "accepted": True,
}


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://127.3.2.1", "http://[::1]:80", "grpc://127.0.0.1:9"]
)
def test_this_machine_may_be_loaded(url: str):
    require_allowed(Address.of(url, HTTP | GRPC), [])


@pytest.mark.parametrize("url", ["http://192.0.2.7:8000", "grpc://10.0.0.1:1", "http://0.0.0.0:80"])
def test_another_machine_may_not_unless_it_was_named_twice(url: str):
    """A typo in --host must not flood somebody else's shop."""
    address = Address.of(url, HTTP | GRPC)
    with pytest.raises(ConfigError, match=f"--yes-load {address.host}"):
        require_allowed(address, ["192.0.2.8"])
    require_allowed(address, [address.host])


def test_a_name_that_nobody_knows():
    with pytest.raises(DependencyError, match=r"there is no host shop\.invalid"):
        require_allowed(Address.of("http://shop.invalid", HTTP), [])


@pytest.mark.parametrize(
    ("url", "schemes"),
    [
        *((url, HTTP) for url in ("", "http://", "http://x:notaport", "localhost:80", "grpc://localhost:9")),
        *((url, GRPC) for url in ("grpc://localhost", "https://localhost", "127.0.0.1:9")),
    ],
)
def test_an_address_that_cannot_be_asked(url: str, schemes: frozenset[str]):
    with pytest.raises(ConfigError, match="--host"):
        Address.of(url, schemes)


def test_where_a_service_listens():
    assert Address.of("https://shop.test", HTTP).port == 443
    assert Address.of("http://127.0.0.1:9000", GRPC).target == "127.0.0.1:9000"
    assert Address.of("grpc://[::1]:9", GRPC).target == "[::1]:9"


@pytest.mark.parametrize(
    ("status", "body", "wrong"),
    [
        (200, json.dumps(RELEASE), ""),
        (404, json.dumps(RELEASE), "status 404"),
        (200, "<html>", "its body is another's"),
        (200, json.dumps({"id": "r-1"}), "its body is another's"),
    ],
)
def test_what_a_recommender_answers(status: int, body: str, wrong: str):
    assert no_recommender(status, body.encode()) == wrong


@pytest.mark.parametrize(
    ("status", "body", "release", "wrong"),
    [
        (200, {"name": "ranker", "versions": ["r-1"]}, "r-1", ""),
        (503, {}, "", "status 503"),
        (200, {"name": "retriever", "versions": ["r-1"]}, "", "it is the model retriever"),
        (200, {"name": "ranker", "versions": []}, "", "its body is another's"),
        (200, ["ranker"], "", "its body is another's"),
    ],
)
def test_what_a_model_answers(status: int, body: object, release: str, wrong: str):
    assert release_of_model(status, json.dumps(body).encode(), "ranker") == (release, wrong)
