"""Memory of the retriever: what is predicted beside what is measured.

    python loadtests/memory.py                              # 1,000,000 items, 128 dimensions
    python loadtests/memory.py --items 50000 --dimensions 64

Each index variant is opened in a process of its own; then the service is started as a container would, in a
memory cgroup of 512 MiB, its release not in the page cache; then with one worker and with two. The constants
of `tonnage.serving.memory.terms` come from the table that is printed last.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxes import Box, boxed, forget
from large import Large, provide
from measures import ROOT, Measure, at_least, at_most, report
from processes import Server, ask, server
from simulated import Shape
from tonnage.domain import Floats
from tonnage.index import Index, build, open_index
from tonnage.serving.environment import Environment
from tonnage.serving.local import free_port
from tonnage.serving.memory.cgroup import usage
from tonnage.serving.memory.quantity import MIB
from tonnage.serving.memory.start import plan_for
from tonnage.serving.memory.terms import process_bytes
from tonnage.serving.protocol.oip import HEADER_LENGTH, decode_response, encode_request
from tonnage.telemetry import Silent, Spoken

LIMIT = 512 * MIB
READY_S = 5.0
WITHIN = 0.10
"""Of measured, as a share: how far a prediction may be off."""

SECOND_WORKER = 1.15
RECALL = 0.95
TOP = 100
JUDGED = 200
"""Queries whose answers are compared with the exact ones."""

SEARCHES = 300
SLACK = 8 * MIB
"""By how much the limit of the swap is above the plan made beforehand: the host is measured at its start."""

BENTO = ROOT / "bentos" / "retriever"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A retriever that serves, and what it holds.

    Attributes:
        plan: its own, from `/v1/memory`.
        ready_s: seconds from the process's start until it was ready.
        idle: bytes of each process when it was ready, shared pages by their share; the host first.
        served: the same after traffic.
        recall: recall@100 of its answers.
        peak: most bytes that were charged to its cgroup.
        killed: processes that the kernel killed.
    """

    plan: Mapping[str, Any]
    ready_s: float
    idle: list[int]
    served: list[int]
    recall: float
    peak: int
    killed: int


def measure(large: Large) -> list[Measure]:
    """Every promise about the retriever's memory, for the release of a large project."""
    measures = [predicted(large, each.name) for each in large.release().manifest.index]
    inside = held(large, limit=LIMIT)
    measures += [
        at_most("retriever in 512 MiB: most that was charged", LIMIT / MIB, inside.peak / MIB, "MiB"),
        at_most("retriever in 512 MiB: processes killed", 0, inside.killed, ""),
        at_least(f"retriever in 512 MiB: recall@100 of {inside.plan['chosen']}", RECALL, inside.recall),
        at_most("retriever in 512 MiB: ready after the process's start", READY_S, inside.ready_s, "s"),
    ]
    chosen = {"TONNAGE_INDEX": inside.plan["chosen"]}
    one, two = (held(large, workers=workers, settings=chosen) for workers in (1, 2))
    measures.append(
        at_most("retriever: two workers over one", SECOND_WORKER, sum(two.served) / sum(one.served), "x")
    )
    measures += swapped(large, inside)
    for name, each in (("512 MiB", inside), ("one worker", one), ("two workers", two)):
        print(f"  {name}: idle {told(each.idle)} MiB, after traffic {told(each.served)} MiB")
    return measures


def predicted(large: Large, name: str) -> Measure:
    """The resident bytes that the manifest promises of a variant, beside those of a process that opens it."""
    release = large.release()
    forget(release.directory / "retrieval")
    command = [sys.executable, __file__, "--resident", str(release.directory / "retrieval"), name]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return within(f"resident bytes of {name}", release.variant(name).resident_bytes, grown)


def within(name: str, promised: int, measured: int) -> Measure:
    """A promise that a prediction is near what is measured."""
    off = abs(promised - measured) / measured
    return Measure(
        name=name,
        target=f"within {WITHIN:.0%} of measured",
        measured=f"{promised / MIB:.1f} MiB predicted, {measured / MIB:.1f} MiB measured ({off:.1%} off)",
        holds=off <= WITHIN,
    )


def resident(directory: Path, name: str) -> int:
    """Bytes by which this process grows when it opens an index, loads it and searches it."""
    random = np.random.default_rng(7)
    vectors = random.normal(size=(100, 8)).astype(np.float32)
    with tempfile.TemporaryDirectory() as other:
        # What the libraries take the first time is no part of an index.
        small = Path(other)
        np.save(small / "item_vectors.npy", vectors)
        build(vectors, small, variants=[name], queries=vectors[:5], progress=Silent())
        searched(open_index(small, name), vectors)
    before = process_bytes()
    index = open_index(directory, name)
    searched(index, random.normal(size=(20, index.dimensions)).astype(np.float32))
    return process_bytes() - before


def searched(index: Index, queries: Floats) -> None:
    """Bring an index into use."""
    index.load()
    for query in queries:
        index.search(query, TOP)


def held(
    large: Large, *, limit: int = 8 * LIMIT, workers: int = 1, settings: Mapping[str, str] | None = None
) -> Held:
    """Start the retriever in a memory cgroup, ask it, and look at its memory."""
    release = large.release()
    forget(release.directory)
    told = {"TONNAGE_WORKERS": str(workers), "TONNAGE_ACCESS_LOG_EVERY": "100000", **(settings or {})}
    with boxed(limit) as box, retriever(release.directory, box, told) as running:
        ready_s = running.wait_until_ready("/v2/health/ready")
        idle = sizes(running)
        plan = json.loads(ask(running.port, "GET", "/v1/memory")[2])
        recall = judged(running.port, large.queries()[:JUDGED], np.asarray(release.item_vectors))
        for query in np.tile(large.queries(), (2, 1))[:SEARCHES]:
            search(running.port, query)
        pod = usage(membership=Path(f"/proc/{running.process.pid}/cgroup"))
        print(f"  in its cgroup: {pod}")
        return Held(
            plan=plan,
            ready_s=ready_s,
            idle=idle,
            served=sizes(running),
            recall=recall,
            peak=box.peak() or box.used(),
            killed=box.killed(),
        )


def swapped(large: Large, before: Held) -> list[Measure]:
    """Swap the whole index twice, and item vectors, at the limit that the plan says is enough for that."""
    name = before.plan["chosen"]
    release = large.release()
    environment = Environment(release_dir=release.directory, hot_swap=True, index=name)
    limit = plan_for(release, environment, limit=None, measured=False).smallest_limit
    told = {"TONNAGE_HOT_SWAP": "true", "TONNAGE_INDEX": name, "TONNAGE_MEMORY_LIMIT": str(limit + SLACK)}
    with tempfile.TemporaryDirectory(dir=large.root) as place, boxed(limit + SLACK) as box:
        other = Path(place) / release.id
        shutil.copytree(release.directory, other)
        forget(large.root)
        with retriever(release.directory, box, told) as running:
            running.wait_until_ready("/v2/health/ready")
            statuses = Counter[int]()
            with traffic(running.port, large.queries(), statuses):
                for directory in (other, release.directory):
                    body = json.dumps({"directory": str(directory)}).encode()
                    statuses[ask(running.port, "PUT", "/v1/index", body)[0]] += 1
                item = next(iter(release.row_of))
                body = json.dumps({"vector": large.queries()[0].tolist()}).encode()
                statuses[ask(running.port, "PUT", f"/v1/items/{item}/vector", body)[0]] += 1
            print(f"  hot swap at {limit / MIB:.0f} MiB: statuses {dict(statuses)}, peak {box.peak()}")
            failed = sum(count for status, count in statuses.items() if status != 200)
            return [
                at_most("hot swap at the plan's limit: answers other than 200", 0, failed, ""),
                at_most("hot swap at the plan's limit: processes killed", 0, box.killed(), ""),
            ]


@contextmanager
def traffic(port: int, queries: Floats, statuses: Counter[int]) -> Iterator[None]:
    """One search after the other until the block ends."""
    over = threading.Event()

    def send() -> None:
        for query in itertools.cycle(queries):
            if over.is_set():
                return
            body, length = encode_request({"user_vector": query}, parameters={"k": TOP})
            headers = {HEADER_LENGTH: str(length), "content-type": "application/octet-stream"}
            statuses[ask(port, "POST", "/v2/models/retriever/infer", body, headers)[0]] += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


@contextmanager
def retriever(release: Path, box: Box, settings: Mapping[str, str]) -> Iterator[Server]:
    """The retriever as `bentoml serve` starts it, on one core."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "TONNAGE_RELEASE_DIR": str(release),
            "BENTOML_HOME": home,
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONOPTIMIZE": "1",
            **settings,
        }
        command = [sys.executable, "-m", "bentoml", "serve", "service:Retriever", "--port", str(port)]
        log = Path(home) / "retriever.log"
        with server(
            "retriever",
            command,
            port=port,
            log=log,
            directory=BENTO,
            environment=environment,
            box=box.procs,
        ) as running:
            yield running


def sizes(running: Server) -> list[int]:
    """Bytes of each process, shared pages by their share; the host first."""
    return [each.memory_full_info().pss for each in running.processes()]


def search(port: int, query: Floats) -> np.ndarray:
    """Rows that the retriever finds for a user vector."""
    body, length = encode_request({"user_vector": query}, parameters={"k": TOP})
    headers = {HEADER_LENGTH: str(length), "content-type": "application/octet-stream"}
    status, heads, answer = ask(port, "POST", "/v2/models/retriever/infer", body, headers)
    if status != 200:
        raise RuntimeError(f"the retriever answered {status}: {answer[:200]!r}")
    found = decode_response(answer, int(heads[HEADER_LENGTH]))
    return found["rows"]


def judged(port: int, queries: Floats, vectors: Floats) -> float:
    """Mean share of the exact top 100 that the retriever finds."""
    shares = []
    for query in queries:
        exact = np.argpartition(-(vectors @ query), TOP)[:TOP]
        shares.append(len(np.intersect1d(search(port, query), exact)) / TOP)
    return float(np.mean(shares))


def told(sizes: list[int]) -> str:
    """Sizes of processes in MiB."""
    return " + ".join(f"{size / MIB:.1f}" for size in sizes)


def main() -> None:
    """Measure and report, or be the process that one variant is measured in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=Shape().items)
    parser.add_argument("--dimensions", type=int, default=Shape().dimensions)
    parser.add_argument("--resident", nargs=2, metavar=("DIRECTORY", "VARIANT"))
    given = parser.parse_args()
    if given.resident:
        print(resident(Path(given.resident[0]), given.resident[1]))
        return
    shape = Shape(items=given.items, dimensions=given.dimensions)
    report("memory", measure(provide(shape, progress=Spoken())))


if __name__ == "__main__":
    main()
