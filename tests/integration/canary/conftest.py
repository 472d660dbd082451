"""A real Prometheus that scrapes services which count as ours do."""

import json
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client import start_http_server

from tonnage.deployment.embedded import builds
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.serving.local import free_port
from tonnage.serving.metrics import Metrics
from tonnage.serving.slates import Slate

DEADLINE_S = 30.0


def awaited(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen in {DEADLINE_S} s"
        pause.wait(0.05)


@dataclass
class Exporter:
    """A recommender's counters at an address of their own; it can begin anew, as a process does."""

    track: str
    port: int
    metrics: Metrics
    _server: tuple | None = None

    @classmethod
    def started(cls, track: str, port: int | None = None) -> "Exporter":
        metrics = Metrics(service="recommender", track=track, release=f"r-20260101-0000000{len(track)}")
        exporter = cls(track=track, port=port or free_port(), metrics=metrics)
        exporter._server = start_http_server(exporter.port, addr="127.0.0.1", registry=metrics.registry)
        return exporter

    def answer(
        self, requests: int, *, errors: int = 0, seconds: float = 0.018, slate: Slate | None = None
    ) -> None:
        """Answer requests as the recommender counts them; without a slate, with an empty one."""
        self.metrics.entered()
        self.metrics.answered("/readyz", 200, 0.001)
        for number in range(requests):
            failed = number < errors
            self.metrics.entered()
            self.metrics.answered("/v1/recommendations", 500 if failed else 200, seconds)
            if not failed:
                self.metrics.made(slate or Slate(items=(), at=0.0))

    def stop(self) -> None:
        if self._server:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()
            self._server = None


@dataclass(frozen=True)
class Monitoring:
    """Prometheus, and what it scrapes every second."""

    url: str
    namespace: str
    stable: Exporter
    canary: Exporter

    def value(self, query: str) -> float:
        """An instant value; 0 when there is no series."""
        asked = f"{self.url}/api/v1/query?{urlencode({'query': query})}"
        with urlopen(asked, timeout=5) as answer:  # noqa: S310
            found = json.load(answer)["data"]["result"]
        return sum(float(each["value"][1]) for each in found)


@dataclass(frozen=True)
class Server:
    """A Prometheus that takes a new configuration when it is told to."""

    url: str
    config: Path

    def scrape(self, exporters: Iterable[Exporter], **labels: str) -> None:
        """Scrape these, and nothing else."""
        targets = [f"127.0.0.1:{each.port}" for each in exporters]
        job = {"job_name": "shop", "static_configs": [{"targets": targets, "labels": labels}]}
        interval = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        self.config.write_text(yaml.safe_dump({"global": interval, "scrape_configs": [job]}))
        with urlopen(f"{self.url}/-/reload", data=b"", timeout=5) as answer:  # noqa: S310
            assert answer.status == 200


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    embedded = EmbeddedConfig.of(os.environ)
    binary = builds.tools(embedded.sources, embedded.cache) / "prometheus"
    home = tmp_path_factory.mktemp("prometheus")
    (home / "prometheus.yml").write_text("{}")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(binary),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]
    with (home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            awaited(lambda: ready(url), "Prometheus")
            yield Server(url, home / "prometheus.yml")
        finally:
            process.terminate()


@pytest.fixture
def monitoring(server: Server, request: pytest.FixtureRequest) -> Iterator[Monitoring]:
    """Two services of a namespace of the test's own, so that no test sees another's series."""
    namespace = f"shop-{zlib.crc32(request.node.name.encode())}"
    exporters = {track: Exporter.started(track) for track in ("stable", "canary")}
    try:
        server.scrape(exporters.values(), namespace=namespace)
        yield Monitoring(server.url, namespace, **exporters)
    finally:
        for exporter in exporters.values():
            exporter.stop()


def ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310
            return answer.status == 200
    except (URLError, OSError):
        return False
