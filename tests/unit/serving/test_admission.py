"""Who gets in, in which order, and what happens to the places."""

import asyncio
import math

import pytest

from tonnage.serving.admission.admission import Admission, Reason, RefusedError
from tonnage.serving.admission.pace import Pace


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(concurrency=1, budget_s=0.1, clock=clock)


async def serve(admission, clock, seconds, log=None, name=None):
    """One request: in, its turn, so long a time of work, out."""
    with admission.enter() as turn:
        await turn.begin()
        if log is not None:
            log.append(name)
        clock.now += seconds


async def settle(admission, clock, seconds, times=200):
    for _ in range(times):
        await serve(admission, clock, seconds)
        await asyncio.sleep(0)


@pytest.mark.parametrize(("seconds", "limit"), [(0.001, 100), (0.01, 10), (0.5, 2)])
async def test_as_many_get_in_as_leave_within_the_budget(admission, clock, seconds, limit):
    """Little's law; and however slow the service is, one request may wait for another."""
    await settle(admission, clock, seconds)
    assert admission.limit == pytest.approx(limit, abs=1)
    turns = [admission.enter() for _ in range(admission.limit)]
    with pytest.raises(RefusedError) as refused:
        admission.enter()
    assert (refused.value.reason, refused.value.http_status) == (Reason.QUEUE, 503)
    turns[0].__exit__(None, None, None)
    admission.enter()


async def test_the_limit_follows_a_service_that_becomes_slow_and_recovers(admission, clock):
    await settle(admission, clock, 0.001)
    quick = admission.limit
    await settle(admission, clock, 0.02, times=40)
    assert admission.limit < quick / 10
    await settle(admission, clock, 0.001, times=80)
    assert admission.limit > quick / 2


async def test_turns_come_in_the_order_of_arrival(admission, clock):
    log = []
    await asyncio.gather(*(serve(admission, clock, 0.001, log, name) for name in range(20)))
    assert log == list(range(20))
    await asyncio.sleep(0)
    assert (admission.inside, admission.queued) == (0, 0)


async def test_the_loop_looks_at_its_sockets_between_two_pieces_of_work(admission, clock):
    """Were waiting work done in one go, nobody would refuse or answer probes meanwhile."""
    log = []

    async def other():
        for _ in range(10):
            log.append("other")
            await asyncio.sleep(0)

    await asyncio.gather(*(serve(admission, clock, 0.001, log, name) for name in range(3)), other())
    assert log.index(0) < log.index("other") < log.index(1)
    assert "other" in log[log.index(1) : log.index(2)]


async def test_no_more_are_worked_on_at_once_than_allowed(clock):
    admission = Admission(concurrency=3, budget_s=1.0, clock=clock)
    running, most = 0, 0

    async def work():
        nonlocal running, most
        with admission.enter() as turn:
            await turn.begin()
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            clock.now += 0.001
            running -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 3


async def test_work_whose_deadline_passed_in_the_queue_is_not_begun(admission, clock):
    await settle(admission, clock, 0.001)
    log = []

    async def patient():
        with admission.enter(remaining_s=0.01) as turn:
            await turn.begin()
            log.append("begun")

    with admission.enter() as first:
        await first.begin()
        second = asyncio.create_task(patient())
        await asyncio.sleep(0)
        clock.now += 0.05
    with pytest.raises(RefusedError) as refused:
        await second
    assert refused.value.reason is Reason.DEADLINE
    assert log == []
    await settle(admission, clock, 0.001, times=1)
    assert admission.inside == 0


@pytest.mark.parametrize("remaining_s", [0.0, -1.0, -math.inf])
async def test_who_comes_after_the_deadline_is_not_let_in(admission, remaining_s):
    with pytest.raises(RefusedError) as refused:
        admission.enter(remaining_s)
    assert refused.value.reason is Reason.DEADLINE
    assert admission.refused[Reason.DEADLINE] == 1


async def test_who_would_wait_beyond_the_deadline_is_told_at_once(admission, clock):
    """A caller that knows early can ask another pod."""
    await settle(admission, clock, 0.01)
    for _ in range(5):
        admission.enter(remaining_s=1.0)
    with pytest.raises(RefusedError):
        admission.enter(remaining_s=0.03)
    admission.enter(remaining_s=0.08)


async def test_who_says_how_long_it_can_wait_is_not_refused_for_the_budget(admission, clock):
    """A recommender that is refused by its ranker shows a fallback, although its deadline was far away."""
    await settle(admission, clock, 0.01)
    while admission.inside < admission.limit:
        admission.enter()
    with pytest.raises(RefusedError):
        admission.enter()
    while admission.inside < 2 * admission.limit:
        admission.enter(remaining_s=1.0)
    with pytest.raises(RefusedError) as refused:
        admission.enter(remaining_s=1.0)
    assert refused.value.reason is Reason.QUEUE


async def test_near_the_memory_limit_nobody_gets_in(admission):
    admission.memory_share = 0.97
    with pytest.raises(RefusedError) as refused:
        admission.enter()
    assert refused.value.reason is Reason.MEMORY
    admission.memory_share = 0.5
    admission.enter()


@pytest.mark.parametrize("cancel_after", range(5))
async def test_a_caller_that_goes_away_leaves_no_hole(admission, clock, cancel_after):
    """A place that is never given back is capacity lost until the next restart."""
    tasks = [asyncio.create_task(serve(admission, clock, 0.001)) for _ in range(6)]
    for _ in range(cancel_after):
        await asyncio.sleep(0)
    for task in tasks[1:4]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    assert (admission.inside, admission.queued) == (0, 0)
    await asyncio.wait_for(serve(admission, clock, 0.001), 5)


@pytest.fixture
def paced(clock):
    pace = Pace(first=8, least=4, most=16, target_s=0.05)
    return Admission(concurrency=pace, budget_s=0.1, clock=clock)


async def crowd(admission, clock, seconds, rounds):
    """As many at once as get in, each of which takes so long."""
    for _ in range(rounds):
        turns = []
        while admission.inside < admission.concurrency:
            turns.append(admission.enter())
            await turns[-1].begin()
        clock.now += seconds
        for turn in turns:
            turn.__exit__(None, None, None)
        await asyncio.sleep(0)


async def test_a_service_that_becomes_slow_works_on_fewer_at_once(paced, clock):
    """With all of them in hand none would be in time, and each answer would be a fallback."""
    await crowd(paced, clock, 0.2, rounds=30)
    assert paced.concurrency == 4


async def test_a_service_that_is_quick_works_on_more_at_once(paced, clock):
    await crowd(paced, clock, 0.01, rounds=60)
    assert paced.concurrency == 16


async def test_who_is_alone_changes_nothing(paced, clock):
    """What one request at a time takes says nothing of how many would do."""
    await settle(paced, clock, 0.01)
    assert paced.concurrency == 8


async def test_who_has_left_is_not_counted_as_less_than_nobody(admission, clock):
    """A scrape in that moment would tell of -1 requests that wait."""
    with admission.enter() as turn:
        await turn.begin()
        clock.now += 0.01
    assert (admission.inside, admission.queued) == (0, 0)
