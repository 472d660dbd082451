"""The retriever with a million items in a container of 512 MiB, beside the library that it searches with."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from boxes import boxed, forget
from large import Large
from measures import Measure, at_least, at_most
from memory import LIMIT, retriever
from peers.servers import ONE_THREAD, PROGRAMS
from processes import Server, ask
from tonnage.domain import Floats
from tonnage.serving.memory.quantity import MIB
from tonnage.serving.protocol import oip
from tonnage.telemetry import Progress
from wrk import Load, drive

K = 100
QUERIES = 256
CONNECTIONS = 4


def measure(large: Large, *, rounds: int, seconds: float, progress: Progress) -> list[Measure]:
    """How much of the library's throughput is left behind the protocol; rounds of both alternate."""
    queries = large.queries()[:QUERIES]
    loads: list[Load] = []
    bare: list[float] = []
    # What the writing of the release left in memory must be charged to the container.
    forget(large.release_dir)
    quiet = {"TONNAGE_ACCESS_LOG_EVERY": "1000000"}
    with boxed(LIMIT) as box, retriever(large.release_dir, box, quiet) as running:
        running.wait_until_ready("/v2/health/ready")
        variant: str = json.loads(ask(running.port, "GET", "/v1/memory")[2])["chosen"]
        for number in range(rounds):
            with progress.stage(f"round {number + 1} of {rounds}"):
                _drive(running, queries, 2.0)
                loads.append(_drive(running, queries, seconds))
                with running.asleep():
                    bare.append(bare_rate(large, variant, queries, seconds))
            progress.say(f"{loads[-1]}, {variant} alone {bare[-1]:.0f}/s")
        killed = box.killed()
    return promises(f"retriever in {LIMIT // MIB} MiB, {variant}", loads, bare, killed)


def promises(what: str, loads: Sequence[Load], bare: Sequence[float], killed: int) -> list[Measure]:
    """What was promised of the retriever's speed beside what was seen. Pure."""
    share = statistics.median(load.rate / alone for load, alone in zip(loads, bare, strict=True))
    rate, alone = statistics.median(load.rate for load in loads), statistics.median(bare)
    failed = killed + sum(load.failed for load in loads)
    return [
        at_least(f"{what}: {rate:.0f} requests/s, share of {alone:.0f} of the library alone", 0.6, share),
        at_most(f"{what}: requests that failed, processes killed", 0, failed, ""),
    ]


def bare_rate(large: Large, variant: str, queries: Floats, seconds: float) -> float:
    """Searches per second of the library alone over the same files, in one thread of the servers' core."""
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "queries.npy"
        np.save(file, queries)
        pinned = ("taskset", "--cpu-list", "0", sys.executable, str(PROGRAMS / "bare_index.py"))
        told = (str(large.release_dir / "retrieval"), variant, str(file), str(K), str(seconds))
        said = subprocess.run(
            [*pinned, *told],
            env={**ONE_THREAD, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=seconds + 120,
        ).stdout
    return float(said.split()[-1])


def request(query: Floats) -> tuple[bytes, dict[str, str]]:
    """Body and headers that ask for the items nearest to a vector."""
    inputs = {"user_vector": query.astype(np.float32), "k": np.array([K], np.int32)}
    body, length = oip.encode_request(inputs)
    return body, {"content-type": "application/octet-stream", oip.HEADER_LENGTH: str(length)}


def _drive(running: Server, queries: Floats, seconds: float) -> Load:
    bodies = [request(query)[0] for query in queries]
    headers = request(queries[0])[1]
    path = "/v2/models/retriever/infer"
    return drive(running.port, path, bodies, headers, seconds=seconds, connections=CONNECTIONS)
