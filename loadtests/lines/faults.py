"""Releases that are bad on purpose: a retriever that outgrows its limit, leaks memory, or takes its time.

The faults come from outside (`spoiling`); nothing of them is in the service.
"""

from spoiling import spoiling

RETRIEVER = "tonnage.serving.retriever"

LEAKED = 8 * 1024
"""Bytes that each request leaves behind."""

UNPACKED = 1 / 600
"""Share of the index that each request unpacks."""

COPIES = 8
"""Of each vector, float32."""

SLOWER = 2.0
"""Times its own work that a request takes besides; the network and the protocol are not slower."""

_ANSWER = """

def spoil(module):
    retriever = module.Retriever
    usual = retriever.infer

    def infer(self, request):
        return spoiled(usual, self, request)

    retriever.infer = infer
"""

LEAKS = spoiling(
    RETRIEVER,
    _ANSWER
    + f"""
KEPT = []


def spoiled(usual, self, request):
    KEPT.append(b"x" * {LEAKED})
    return usual(self, request)
""",
)
"""Forgets nothing of any request."""

SLOW = spoiling(
    RETRIEVER,
    _ANSWER
    + f"""
import time


def spoiled(usual, self, request):
    started = time.perf_counter()
    answer = usual(self, request)
    until = time.perf_counter() + {SLOWER} * (time.perf_counter() - started)
    while time.perf_counter() < until:
        pass
    return answer
""",
)
"""Works three times as long on each request, so that whoever asks waits about twice as long."""

EXCEEDS = spoiling(
    RETRIEVER,
    _ANSWER
    + f"""
import numpy as np

UNPACKED = []


def spoiled(usual, self, request):
    index = self.vectors.index
    step = max(1, int(index.items * {UNPACKED}))
    first = step * len(UNPACKED)
    if first < index.items:
        rows = np.arange(first, min(first + step, index.items))
        UNPACKED.append(np.repeat(index.vectors(rows), {COPIES}, axis=0))
    return usual(self, request)
""",
)
"""Unpacks the index while it is searched, into memory of its own: `COPIES` times as large as it should be."""
