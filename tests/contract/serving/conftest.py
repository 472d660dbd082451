"""The recommender behind a real HTTP server in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any

import orjson
import pytest
import uvicorn
from tests.factories.release import VOCABULARIES, release

from tonnage.features import ranking
from tonnage.serving.application import RecommenderServer
from tonnage.serving.environment import Environment
from tonnage.serving.local import free_port

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    content: bytes

    def json(self) -> Any:
        return orjson.loads(self.content)


@dataclass(frozen=True)
class Client:
    """Sends requests to one port of this machine."""

    port: int

    def get(self, path: str, **headers: str) -> Answer:
        return self._send("GET", path, None, headers)

    def post(self, path: str, body: Any) -> Answer:
        return self.post_raw(path, orjson.dumps(body))

    def post_raw(self, path: str, body: Any, headers: dict[str, str] = JSON) -> Answer:
        return self._send("POST", path, body, headers)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def served(app: Any) -> Iterator[Client]:
    """Serve an application from a thread until the context ends."""
    port = free_port()
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=port, ws="none", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.is_up.wait(30)
        yield Client(port)
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A recommender whose retriever and ranker are away."""
    root = tmp_path_factory.mktemp("api")
    opened = release(root, names=ranking.names(VOCABULARIES), vocabularies=VOCABULARIES)
    nobody = f"http://127.0.0.1:{free_port()}"
    environment = Environment(
        release_dir=opened.directory,
        retriever_url=nobody,
        ranker_url=nobody,
        online_store=f"sqlite:///{root / 'online.db'}",
        deadline_ms=5000,
    )
    with served(RecommenderServer(environment).app) as started:
        yield started
