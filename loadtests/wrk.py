"""Closed loop: a few connections that ask again as soon as they are answered. wrk does it, from Debian."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tonnage.errors import RequirementError
from tonnage.serving.local import HOST

CORE = 1
"""Where the load generator runs; servers are pinned to core 0."""

SCRIPT = """
local file = io.open(os.getenv("WRK_BODIES"), "rb")
local all, size = file:read("*a"), tonumber(os.getenv("WRK_BODY_BYTES"))
local requests, last = {}, 0
wrk.method = "POST"
function init()
  for start = 1, #all, size do
    requests[#requests + 1] = wrk.format(nil, nil, nil, all:sub(start, start + size - 1))
  end
end
function request()
  last = last % #requests + 1
  return requests[last]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one round of load saw.

    Attributes:
        rate: requests answered per second.
        p50: milliseconds; likewise p99.
        p99: milliseconds.
        failed: answers other than 2xx and 3xx, and broken connections.
    """

    rate: float
    p50: float
    p99: float
    failed: int


def drive(
    port: int,
    path: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    *,
    seconds: float,
    connections: int = 4,
) -> Load:
    """Ask a server of this machine for so long.

    Args:
        port: of the server.
        path: to POST to.
        bodies: asked with in turn; all of one length.
        headers: of every request.
        seconds: rounded up.
        connections: kept alive, each with one request under way.

    Raises:
        RequirementError: wrk is not installed.
    """
    if shutil.which("wrk") is None:
        raise RequirementError("the load generator wrk is not there", hint="apt-get install wrk")
    with TemporaryDirectory() as scratch:
        (Path(scratch) / "bodies").write_bytes(b"".join(bodies))
        (Path(scratch) / "load.lua").write_text(SCRIPT)
        told = subprocess.run(
            [
                *("taskset", "--cpu-list", str(CORE), "wrk", "--threads", "1"),
                *("--connections", str(connections), "--duration", f"{seconds:.0f}s", "--timeout", "10s"),
                *("--script", f"{scratch}/load.lua"),
                *(part for name, value in headers.items() for part in ("--header", f"{name}: {value}")),
                f"http://{HOST}:{port}{path}",
            ],
            env={**os.environ, "WRK_BODIES": f"{scratch}/bodies", "WRK_BODY_BYTES": str(len(bodies[0]))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        ).stdout
    return read(told)


def read(told: str) -> Load:
    """The last line that our script made wrk print."""
    last = json.loads(told.strip().splitlines()[-1])
    return Load(
        rate=last["requests"] / last["microseconds"] * 1e6,
        p50=last["p50"] / 1e3,
        p99=last["p99"] / 1e3,
        failed=last["failed"],
    )
