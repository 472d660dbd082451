"""A service that is told to stop, as the clients of its last seconds see it."""

import http.client
import time

import pytest
from tests.integration.serving.conftest import serving

DRAIN_S = 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_told_to_stop_serves_on_and_closes_connections_as_it_answers(shop, tmp_path, workers):
    """Gateways still have its address, and clients keep connections: neither may lose a request."""
    settings = {"TONNAGE_DRAIN_S": str(DRAIN_S), "TONNAGE_WORKERS": str(workers)}
    with serving("ranker", shop.release, tmp_path / "work", **settings) as ranker:
        kept = [http.client.HTTPConnection(ranker.address, timeout=10) for _ in range(8)]
        assert {ask(each) for each in kept} == {(200, None)}
        process = ranker.service.process
        process.terminate()
        told = time.monotonic()
        while ask(late := http.client.HTTPConnection(ranker.address, timeout=10), READY)[0] == 200:
            late.close()
            assert time.monotonic() < told + DRAIN_S
        assert {ask(each) for each in kept} == {(200, "close")}
        assert ask(http.client.HTTPConnection(ranker.address, timeout=10)) == (200, "close")
        assert process.wait(DRAIN_S + 20) == 0
        assert time.monotonic() >= told + DRAIN_S


READY = "/v2/health/ready"


def ask(connection: http.client.HTTPConnection, path: str = "/v2/models/ranker") -> tuple[int, str | None]:
    """The status, and what the answer says of its connection."""
    connection.request("GET", path)
    with connection.getresponse() as answer:
        answer.read()
        return answer.status, answer.headers.get("connection")
