"""`locust -f loadtests/locustfile.py`, in a process of its own, against real services of a small shop."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlencode

import pandas as pd
import pytest
from tests.integration.loadtests.conftest import asked, command, ended, listening, people, running, said

from tonnage.load.runs import Run
from tonnage.serving.local import free_port

SHOPPING = {"recommendations", "recommendations-filtered", "similar-items", "events"}


def test_people_by_the_clock_leave_a_run(small_shop, tmp_path):
    """What other measurements are made with: one request a second each, and `--times` as ever."""
    told = ("--project", str(small_shop.project), "--times", "times.json", "--run-dir", "run")
    done = ended(people(small_shop.recommender.url, 10, 3, *told), tmp_path)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    rows = asked(run)
    assert set(rows["name"]) == {"recommendations"}
    assert (rows["failure"] == "").all()
    assert (rows["status"] == 200).all()
    assert rows["at_s"].is_monotonic_increasing
    assert len(rows) == pytest.approx(10 * run.facts.seconds, abs=10)
    times = json.loads((tmp_path / "times.json").read_text())
    assert len(times["milliseconds"]) >= len(rows)
    assert (times["failed"], times["errors"]) == (0, {})
    facts = run.facts
    assert (facts.users, facts.shape, facts.interrupted) == (10, "steady", False)
    assert facts.releases == (small_shop.release,)
    assert 0 < facts.generator.cpu_share_mean <= facts.generator.cpu_share_max < 1.5
    assert facts.generator.processes == 1


def test_people_go_shopping(small_shop, tmp_path):
    """Slates, filtered ones, similar items and events: the services find nothing wrong with any of them."""
    told = ("--project", str(small_shop.project), "--run-dir", "run", "--think", "0.1", "--filtered", "0.3")
    classes = ("Returning", "New", "Cold")
    done = ended(people(small_shop.recommender.url, 6, 4, *told, *classes), tmp_path)
    rows = asked(Run(tmp_path / "run"))
    wrong = rows.loc[rows["failure"] != "", ["name", "failure"]].drop_duplicates()
    assert wrong.empty, (wrong.to_dict("records"), done.stderr)
    assert set(rows["name"]) == SHOPPING
    assert done.returncode == 0


@pytest.mark.parametrize("model", ["Retriever", "Ranker"])
def test_models_are_asked_at_both_doors(small_shop, tmp_path, model):
    served = getattr(small_shop, model.lower())
    names = set()
    for host, ways in (
        (served.service.url, ("Json", "Binary")),
        (f"grpc://{served.grpc_address}", ("Grpc",)),
    ):
        told = ("--project", str(small_shop.project), "--run-dir", ways[0], "--pace", "0.2")
        done = ended(people(host, 4, 2, *told, *(f"{model}{way}" for way in ways)), tmp_path)
        assert done.returncode == 0, done.stderr
        run = Run(tmp_path / ways[0])
        rows = asked(run)
        assert (rows["failure"] == "").all()
        assert len(rows) > 10
        assert run.facts.releases == (small_shop.release,)
        names |= set(rows["name"])
    assert names == {f"{model.lower()}-{way}" for way in ("rest-json", "rest-binary", "grpc")}


def test_a_spike_is_followed(small_shop, tmp_path):
    told = ("--project", str(small_shop.project), "--run-dir", "run", "--shape", "spike", "--pace", "0.1")
    done = ended(people(small_shop.recommender.url, 8, 5, *told), tmp_path)
    run = Run(tmp_path / "run")
    assert (run.facts.shape, run.facts.users, run.facts.interrupted) == ("spike", 8, False), done.stderr
    second = asked(run)["at_s"].astype(int).value_counts()
    assert second[1] < 40 < second[2] + second[3]
    assert second.max() > 2 * second[1]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_has(small_shop, tmp_path, by):
    """Ctrl-C is a person's way, SIGTERM that of a Job and of the drills."""
    told = ("--project", str(small_shop.project), "--run-dir", "run", "--times", "times.json")
    arguments = people(small_shop.recommender.url, 5, 600, *told)
    # Its table says when there is something to keep.
    arguments.remove("--only-summary")
    with running(arguments, tmp_path) as locust:
        said(locust, "recommendations")
        locust.send_signal(by)
        said(locust, "written: run")
        locust.communicate(timeout=30)
    run = Run(tmp_path / "run")
    assert run.facts.interrupted
    assert run.facts.seconds < 60
    times = json.loads((tmp_path / "times.json").read_text())
    assert 0 < run.requests.num_rows <= len(times["milliseconds"])


def test_workers_rows_reach_the_masters_folder(small_shop, tmp_path):
    """A master makes no requests: without its workers' rows its folder would be empty."""
    port = str(free_port())
    told = ("--run-dir", "run", "--master", "--expect-workers", "2")
    address = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    project = ("--project", str(small_shop.project))
    worker = command("--worker", "--master-host", "127.0.0.1", "--master-port", port, *project)
    master = people(
        small_shop.recommender.url, 10, 3, *project, *told, *address, "--think", "0.1", "Returning", "New"
    )
    with running(worker, tmp_path) as one, running(worker, tmp_path) as other:
        done = ended(master, tmp_path)
        for each in (one, other):
            each.communicate(timeout=30)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    rows = asked(run)
    assert (rows["failure"] == "").all()
    assert set(rows["name"]) == SHOPPING
    assert rows["at_s"].max() > run.facts.seconds - 1.5
    assert (run.facts.users, run.facts.generator.processes) == (10, 2)
    assert run.facts.releases == (small_shop.release,)
    # Locust's own count, of what it was told about the same requests.
    counted = next(
        line for line in done.stderr.splitlines() + done.stdout.splitlines() if "Aggregated" in line
    )
    assert len(rows) == pytest.approx(int(counted.split()[1]), rel=0.1)


class Other(BaseHTTPRequestHandler):
    """Answers everything, and is no recommender."""

    def do_GET(self):
        body = b'{"hello": "world"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def other():
    with answering(Other) as host:
        yield host


@pytest.mark.parametrize("asks", ["Person", "RankerJson"])
def test_who_is_no_recommender_is_not_loaded(other, tmp_path, asks):
    done = ended(people(other, 5, 30, asks), tmp_path)
    assert done.returncode == 7
    sentence = next(line for line in done.stderr.splitlines() if line.startswith("locust: "))
    assert other in sentence
    assert "--host" in sentence
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "asks", "code", "says"),
    [
        ("http://127.0.0.1:9", "Person", 7, "nobody answers"),
        ("grpc://127.0.0.1:9", "RankerGrpc", 7, "nobody answers"),
        ("http://192.0.2.1:80", "Person", 2, "--yes-load 192.0.2.1"),
        ("nonsense", "Person", 2, "--host"),
        ("grpc://127.0.0.1:9", "Person", 2, "--host http"),
    ],
)
def test_nobody_is_loaded_by_mistake(tmp_path, host, asks, code, says):
    done = ended(people(host, 5, 30, asks), tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_taken_is_told_before_the_load(small_shop, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").touch()
    done = ended(people(small_shop.recommender.url, 5, 30, "--run-dir", "run"), tmp_path)
    assert done.returncode != 0
    assert "something is there already" in done.stderr


def test_the_web_page_starts_tests_too(small_shop, tmp_path):
    """It refuses what the command line refuses, and follows the shape that its form names."""
    port = free_port()
    page = ("--web-host", "127.0.0.1", "--web-port", str(port), "--run-dir", "run")
    with running(command(*page, "--project", str(small_shop.project)), tmp_path) as locust:
        listening(locust, port)
        refused = swarm(port, host="http://192.0.2.1:80")
        assert not refused["success"]
        assert "--yes-load" in refused["message"]
        # Leave to load is given on the command line alone.
        assert not swarm(port, host="http://192.0.2.1:80", yes_load="192.0.2.1")["success"]
        started = swarm(port, host=small_shop.recommender.url, shape="ramp", run_time="2s")
        assert started["success"], started
        said(locust, "written: run")
        locust.send_signal(signal.SIGTERM)
        locust.communicate(timeout=30)
    assert Run(tmp_path / "run").facts.shape == "ramp"


def swarm(port: int, **form: str) -> dict[str, object]:
    """What the page's form answers."""
    body = urlencode({"user_count": "4", "spawn_rate": "4", **form})
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/swarm", body, {"content-type": "application/x-www-form-urlencoded"})
        return json.loads(connection.getresponse().read())


class Shop(BaseHTTPRequestHandler):
    """A recommender that answers everybody the same, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    heard: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self):
        self._answer(RELEASE)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for event in body.get("events", ()):
            # Another's in each test, so that none is known already.
            del event["event_id"]
        self.heard.append((self.path, json.dumps(body)))
        items = [{"item_id": f"i{number}"} for number in range(10)]
        barred = set(body.get("exclude", ())) | {body.get("item_id")}
        self._answer({"items": [each for each in items if each["item_id"] not in barred], "known": 0})

    def _answer(self, told):
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


RELEASE = {
    "id": "r-20111209-0a4f7cef",
    "track": "stable",
    "until": "2011-12-09T12:50:00Z",
    "items": 10,
    "fingerprint": "f",
    "accepted": True,
}


def test_the_same_seed_asks_the_same(tmp_path):
    """Two releases are compared by two runs; they must have been asked the same things in the same order."""
    data = tmp_path / "build" / "data"
    data.mkdir(parents=True)
    pd.DataFrame({"user_id": [f"u{n % 7}" for n in range(50)]}).to_parquet(data / "interactions.parquet")
    items = pd.DataFrame({"category": ["toys", "lamps"] * 5, "price": range(10)})
    items.to_parquet(data / "items.parquet")
    runs = []
    with answering(Shop) as host:
        for seed in ("5", "5", "6"):
            Shop.heard.clear()
            done = ended(people(host, 1, 2, "--think", "0.02", "--seed", seed, "Returning"), tmp_path)
            assert done.returncode == 0, done.stderr
            runs.append(list(Shop.heard))
    shortest = min(map(len, runs))
    assert shortest > 20
    one, same, other = (run[:shortest] for run in runs)
    assert one == same
    assert one != other
