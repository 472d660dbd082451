"""Where the time of one service goes: `python loadtests/profiling.py ranker --release build/releases/<id>`.

The bento's own application runs in this process under cProfile, and a second
process sends it requests over four connections. Printed are the functions that took most processor time
themselves, and the share of each package. cProfile makes Python look slower beside native code than it is:
compare shares before and after a change, and measure rates without it.
"""

import argparse
import cProfile
import importlib.util
import json
import os
import pstats
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tonnage.releases.release import Release, open_release
from tonnage.serving.local import HOST, free_port, one_service, wait_until_ready
from tonnage.serving.protocol import oip

BENTOS = Path(__file__).parents[1] / "bentos"
CONNECTIONS = 4
CANDIDATES = 200
WARM_UP_S = 1.0


def main() -> None:
    """Profile one service, or (started by that) send it requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("service", choices=("retriever", "ranker", "recommender"))
    parser.add_argument("--release", type=Path, required=True, help="directory of the release")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--lines", type=int, default=25, help="functions to print")
    parser.add_argument("--online-store", default="sqlite:////tmp/tonnage-profile.db")
    parser.add_argument("--drive", type=int, metavar="PORT", help="only send requests to this port")
    given = parser.parse_args()
    if given.drive:
        drive(given.service, open_release(given.release), given.drive, given.seconds)
    else:
        profile(given)


def profile(given: argparse.Namespace) -> None:
    """Serve in this process until the driver ends, then print."""
    os.environ |= {
        "TONNAGE_RELEASE_DIR": str(given.release.absolute()),
        "TONNAGE_ONLINE_STORE": given.online_store,
        "TONNAGE_ACCESS_LOG_EVERY": "1000000",
    }
    port = free_port()
    with ExitStack() as stack:
        if given.service == "recommender":
            stack.enter_context(neighbours())
        profiler = cProfile.Profile(time.thread_time)
        app = profiled(application(given.service), profiler)
        server = uvicorn.Server(
            uvicorn.Config(app, host=HOST, port=port, log_config=None, ws="none", timeout_keep_alive=75)
        )
        thread = threading.Thread(target=driven, args=(given, port, server))
        thread.start()
        server.run()
        profiler.disable()
        thread.join()
    stats = pstats.Stats(profiler)
    stats.sort_stats("tottime").print_stats(given.lines)
    print_shares(stats)


def application(name: str) -> ASGIApp:
    """What a bento serves."""
    sys.path.insert(0, str(BENTOS / name))
    spec = importlib.util.spec_from_file_location("service", BENTOS / name / "service.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"there is no bento {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["service"] = module
    spec.loader.exec_module(module)
    app: ASGIApp = module.server.app
    return app


def profiled(app: ASGIApp, profiler: cProfile.Profile) -> ASGIApp:
    """The same application; the profile begins with its first request."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            profiler.enable()
        await app(scope, receive, send)

    return counted


def driven(given: argparse.Namespace, port: int, server: uvicorn.Server) -> None:
    """Run the driver against the server, from its start to its end."""
    while not server.started:
        time.sleep(0.1)
    command = [sys.executable, __file__, given.service, "--release", str(given.release)]
    subprocess.run([*command, "--drive", str(port), "--seconds", str(given.seconds)], check=True)
    server.should_exit = True


@contextmanager
def neighbours() -> Iterator[None]:
    """A retriever and a ranker for the recommender, as processes of their own."""
    work = Path("/tmp/tonnage-profile")  # noqa: S108
    work.mkdir(exist_ok=True)
    with ExitStack() as stack:
        services = []
        for name in ("retriever", "ranker"):
            port = free_port()
            os.environ[f"TONNAGE_{name.upper()}_URL"] = f"http://{HOST}:{port}"
            services.append(
                stack.enter_context(one_service(name, port, BENTOS / name, work, dict(os.environ)))
            )
        for service in services:
            wait_until_ready([service])
        yield


def drive(service: str, release: Release, port: int, seconds: float) -> None:
    """Send the same request over and over, on each of a few connections."""
    path, body, headers = request(service, release)
    end = time.monotonic() + WARM_UP_S + seconds

    def one(_: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        connection = HTTPConnection(HOST, port, timeout=30)
        while time.monotonic() < end:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            seen[answer.status] += 1
        connection.close()
        return seen

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        seen = sum(pool.map(one, range(CONNECTIONS)), Counter())
    rate = sum(seen.values()) / (seconds + WARM_UP_S)
    print(f"{rate:.0f} requests/s under the profiler, by status {dict(seen)}")


def request(service: str, release: Release) -> tuple[str, bytes, Mapping[str, str]]:
    """Path, body and headers of a typical request."""
    if service == "recommender":
        items = release.items["id"].slice(0, 5).to_pylist()
        body = json.dumps({"user_id": "nobody", "k": 20, "context": {"items": items}})
        return "/v1/recommendations", body.encode(), {"content-type": "application/json"}
    if service == "retriever":
        rows = np.arange(20, dtype=np.int32)
        tensors = {"history_rows": rows, "history_weights": np.ones(len(rows), np.float32)}
        body, length = oip.encode_request(tensors, parameters={"k": 100})
    else:
        width = len(release.manifest.features.all)
        features = np.random.default_rng(7).normal(size=(CANDIDATES, width)).astype(np.float32)
        body, length = oip.encode_request({"features": features})
    return f"/v2/models/{service}/infer", body, {oip.HEADER_LENGTH: str(length)}


def print_shares(stats: pstats.Stats) -> None:
    """Time within the functions of each package, as a share of all; waiting for the network is left out."""
    shares: Counter[str] = Counter()
    for (file, _line, name), (_, _, own, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        if "select" in name or "poll" in name or "run_until_complete" in name or "Loop.run" in name:
            continue
        _, found, package = file.partition("site-packages/")
        own_package = "/".join(file.partition("tonnage/")[2].split("/")[:2])
        label = package.split("/")[0] if found else f"tonnage/{own_package}" if "tonnage/" in file else file
        shares[label if "/" in file or found else name] += own
    whole = sum(shares.values())
    print("share of the time at work")
    for label, seconds in shares.most_common(20):
        print(f"  {seconds / whole:6.1%}  {label}")


if __name__ == "__main__":
    main()
