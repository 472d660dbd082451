"""What a retriever's pod holds before the first vector, in bytes: measured at start, or known from measuring.

Every constant here is checked by `loadtests/memory.py` against processes that serve.
"""

from pathlib import Path

from tonnage.errors import RequirementError
from tonnage.releases.release import GRAM, ITEM_LOOKUP, Release
from tonnage.serving.environment import Environment
from tonnage.serving.memory.plan import Term
from tonnage.serving.memory.quantity import MIB
from tonnage.serving.memory.swap_board import SLOTS

SMAPS = Path("/proc/self/smaps_rollup")

HOST_BYTES = 96 * MIB
"""The host's process before anything of a release is open; for plans that are made offline."""

GRPC_BYTES = 12 * MIB
"""What the host holds besides when gRPC is on."""

STEP_BYTES = 4 * MIB
"""To whole steps of this what is measured is rounded up; from one start to the next it differs by less."""

GROWTH_BYTES = 8 * MIB
"""What the host adds when it serves by itself: an event loop, connections, metrics."""

WORKER_BYTES = 20 * MIB
"""What each of several workers adds: the same, and its own copies of pages that it shared with the host."""

RESERVE_BYTES = 12 * MIB
"""The kernel's part (page tables, sockets, inodes: 4-6 MiB seen) and free memory between live objects; the
collector runs every ten seconds, and meanwhile garbage waits."""

QUEUED = 32
"""Requests that wait with their bodies read; admission lets in as many as leave in time, about a tenth of a
second's worth."""

BODY_BYTES = 32 * 1024
"""One request without a filter, as JSON and as tensors."""

SCRATCH_PER_ITEM = 24
"""Bytes per item that one filtered search holds at its widest: mask, rows, scores, and their order."""

JSON_BYTES = 24 * MIB
"""The Python objects of the largest JSON body that is read, 2^18 elements of up to 88 bytes each."""


def terms_of(release: Release, environment: Environment, *, measured: bool) -> tuple[Term, ...]:
    """Everything but the index.

    Args:
        release: that will be served.
        environment: workers and hot swap.
        measured: this process is the host; otherwise a constant stands for what the host holds.
    """
    terms = (
        _processes(environment, host_bytes() if measured else None),
        Term(name="reserve", bytes=RESERVE_BYTES, says="the kernel's part and free memory between objects"),
        _requests(len(release.items), environment.workers),
        _catalogue(release),
    )
    if not environment.hot_swap:
        return terms
    return (*terms, _replaced(release.manifest.retrieval.dimensions, environment.workers))


def process_bytes() -> int:
    """Memory that this process holds now, in bytes; pages shared with others by their share (Pss)."""
    return _rollup("Pss")


def host_bytes() -> int:
    """What this process would hold if it were alone, in bytes, rounded up so that one start is like another.

    Library pages that another pod of the same image maps too count in full (Rss): a limit must mean the same
    on a busy node as on an empty one.
    """
    return -(-_rollup("Rss") // STEP_BYTES) * STEP_BYTES


def _rollup(name: str) -> int:
    for line in SMAPS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RequirementError("the kernel does not tell what a process holds", file=SMAPS, field=name)


def _processes(environment: Environment, measured: int | None) -> Term:
    host = measured or HOST_BYTES + (GRPC_BYTES if environment.grpc_port else 0)
    workers = environment.workers
    # The only worker of a pod is the host itself.
    more = workers * WORKER_BYTES if workers > 1 else GROWTH_BYTES
    how = "measured at this start" if measured else "measured by loadtests/memory.py"
    return Term(
        name="processes",
        bytes=host + more,
        says=f"{host // MIB} MiB of the host, {how}; {more // MIB} MiB more when {workers} worker(s) serve",
    )


def _requests(items: int, workers: int) -> Term:
    # A filter has one bit per item.
    body = BODY_BYTES + items // 8
    # A body's objects are gone when its search begins.
    working = max(items * SCRATCH_PER_ITEM, JSON_BYTES)
    return Term(
        name="requests",
        bytes=workers * (working + QUEUED * body),
        says=f"{workers} x (one request worked on + {QUEUED} requests of {body} bytes that wait)",
    )


def _catalogue(release: Release) -> Term:
    files = release.manifest.files
    lookup = files[ITEM_LOOKUP].bytes + files[GRAM].bytes
    ids = release.items["item_id"].nbytes
    return Term(name="catalogue", bytes=ids + lookup, says="item ids and what finds them, mapped from files")


def _replaced(dimensions: int, workers: int) -> Term:
    one = SLOTS * (dimensions + 2) * 4
    # A replaced vector makes a new array beside the old one.
    return Term(
        name="replaced",
        bytes=one * (1 + 2 * workers),
        says=f"up to {SLOTS} item vectors replaced one by one",
    )
