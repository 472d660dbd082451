"""Who is overloaded: the recommender through the Gateway, and a ranker alone on one core."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from boxes import boxed
from large import Large
from measures import ROOT, Measure, at_most
from openloop import Target, message
from overload import measure
from processes import server
from questions import CANDIDATES, shortlists_for
from shoppers import PATH, known_users
from shops import Shop, pod_limit
from tonnage.deployment.embedded.network import GATEWAY_NODE_PORT
from tonnage.releases.release import Release
from tonnage.serving.local import HOST, free_port
from tonnage.serving.memory.quantity import in_mib
from tonnage.serving.protocol import oip
from tonnage.telemetry import Progress

REQUESTS = 200
"""Different requests, sent in turn."""

GENERATOR_CORE = 1


def shop(name: str, asked: Shop, project: Path, *, seconds: float, progress: Progress) -> list[Measure]:
    """The recommender through the Gateway, at its pods' memory limits.

    Args:
        name: of the shop, in words.
        asked: that is overloaded.
        project: directory of the project whose users ask.
        seconds: of overload.
        progress: is told what was seen.
    """
    host, port = _door(asked)
    before = asked.ends()
    target = Target(host=host, port=port, requests=_recommendations(project, asked.host))
    measures = measure(name, target, first=20.0, seconds=seconds, progress=progress)
    ended = {where: why for where, why in asked.ends().items() if where not in before}
    told = "; ".join(f"{where}: {why}" for where, why in ended.items())
    return [*measures, at_most(f"{name}, overload: containers that ended", 0, len(ended), told)]


def ranker(large: Large, *, seconds: float, progress: Progress) -> list[Measure]:
    """A ranker alone, on one core, in a cgroup with its pod's memory limit."""
    limit = pod_limit("ranker")
    name = f"ranker alone, {CANDIDATES} candidates, {in_mib(limit)}"
    port = free_port()
    command = [
        *(sys.executable, "-m", "bentoml", "serve", "service:Ranker"),
        *("--host", HOST, "--port", str(port), "--timeout-keep-alive", "75"),
    ]
    with boxed(limit) as box, TemporaryDirectory(prefix="ranker-") as scratch:
        environment = {
            "TONNAGE_RELEASE_DIR": str(large.release_dir),
            "TONNAGE_ACCESS_LOG_EVERY": "1000000",
            "BENTOML_HOME": f"{scratch}/bentoml",
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONOPTIMIZE": "1",
        }
        with server(
            "ranker",
            command,
            port=port,
            log=Path(scratch) / "log",
            directory=ROOT / "bentos" / "ranker",
            environment=environment,
            box=box.procs,
        ) as running:
            running.wait_until_ready("/v2/health/ready")
            target = Target(host=HOST, port=port, requests=_shortlists(large.release()))
            with _pinned(GENERATOR_CORE):
                measures = measure(name, target, first=100.0, seconds=seconds, progress=progress)
            progress.say(f"most that was charged: {in_mib(box.peak() or box.used())}")
            killed = box.killed()
    return [*measures, at_most(f"{name}, overload: processes killed for want of memory", 0, killed, "")]


def _door(asked: Shop) -> tuple[str, int]:
    """Host and port of the Gateway itself, as a load balancer before the node has them.

    The port on 127.0.0.1 leads there too, by a process that takes up to a tenth of the node that is measured.
    """
    node = asked.access.node_ip
    return (node, GATEWAY_NODE_PORT) if node else asked.address


def _recommendations(project: Path, host: str) -> Sequence[bytes]:
    """What known users ask, as whole HTTP messages."""
    chosen = np.random.default_rng(20).choice(known_users(project), REQUESTS)
    return [
        message(
            PATH,
            json.dumps({"user_id": user, "k": 10}).encode(),
            {"content-type": "application/json", "x-user-id": user},
            host=host,
        )
        for user in chosen.tolist()
    ]


def _shortlists(release: Release) -> Sequence[bytes]:
    """What a recommender asks a ranker, as whole HTTP messages."""
    messages = []
    for asked in shortlists_for(np.random.default_rng(20), release, REQUESTS):
        body, length = oip.encode_request(asked.tensors())
        headers = {"content-type": "application/octet-stream", oip.HEADER_LENGTH: str(length)}
        messages.append(message("/v2/models/ranker/infer", body, headers, host=HOST))
    return messages


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Keep this process on one core until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
