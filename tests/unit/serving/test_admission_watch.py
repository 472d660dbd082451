"""What an admission is told of the memory, and what it tells the metrics."""

import asyncio

import pytest

from tonnage.serving.admission.admission import Admission, RefusedError
from tonnage.serving.admission.watching import watched
from tonnage.serving.memory.cgroup import Usage
from tonnage.serving.metrics import Metrics


@pytest.mark.parametrize(
    ("usage", "share"),
    [
        (Usage(current=99, working_set=99, needed=40, limit=100), 0.4),
        (Usage(current=99, working_set=99, needed=97, limit=100), 0.97),
        (Usage(current=99, working_set=99, needed=97, limit=None), 0.0),
        (None, 0.0),
    ],
    ids=["full of cache", "full", "no limit", "no cgroup"],
)
async def test_only_memory_that_cannot_be_dropped_keeps_requests_out(usage, share):
    """A pod whose limit is filled by page cache is healthy; refusing there would be for ever."""
    admission = Admission(concurrency=1, budget_s=0.1)
    metrics = Metrics(service="ranker", track="stable", release="r-1")
    async with watched(admission, metrics, every_s=60, memory=lambda: usage):
        assert admission.memory_share == pytest.approx(share)


async def test_a_full_pod_lets_requests_in_again_when_there_is_room():
    full = [Usage(current=99, working_set=99, needed=99, limit=100)]
    admission = Admission(concurrency=1, budget_s=0.1)
    metrics = Metrics(service="ranker", track="stable", release="r-1")
    async with watched(admission, metrics, every_s=0.01, memory=lambda: full[0]):
        with pytest.raises(RefusedError):
            admission.enter()
        full[0] = Usage(current=50, working_set=50, needed=50, limit=100)
        async with asyncio.timeout(10):
            while admission.memory_share > 0.9:
                await asyncio.to_thread(lambda: None)
        admission.enter()
