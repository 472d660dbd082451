"""Who gets in: a bounded queue before the work, so that what is begun is also finished in time.

Behind a service that is asked for more than it can do, a queue without a bound grows until every answer is
too late for its caller, and goodput falls to nothing. Here the bound follows the measured service time, by
Little's law: in a service that works on `concurrency` requests at once, each for `s` seconds, as many may be
inside as leave within the queueing budget, `concurrency / s * budget`. Whoever comes on top is refused before
its body is read, which costs a twentieth of an answer.

One class for all three services: the retriever and the ranker compute on the event loop, one request or one
batch at a time; the recommender has many in flight that wait for its neighbours, as many as its pace allows.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import NoReturn, Self

from tonnage.errors import TonnageError
from tonnage.serving.admission.pace import Pace

LEAST_INSIDE = 2
"""However slow a service is: one request is worked on, and one may wait for it."""

SMOOTHING = 0.1
"""Weight of one more service time in their running mean."""

PATIENT = 2
"""So many times as many may be inside of those that say how long they can wait: for them the deadline
decides. A ranker that refused a recommender for a budget of its own would turn a slate that is in time into a
fallback."""

FIRST_GUESS = 1 / 32
"""Service time that is assumed before the first was measured, as a share of the queueing budget."""

LEAST_S = 1e-6
"""Shortest service time that is believed."""

OUTLIER = 4.0
"""A service time counts as so many times the mean at most: one pause of the host is no slow service."""

MEMORY_WATERMARK = 0.95
"""Share of the memory limit above which nobody gets in: the rest is for the work that is in already."""


class Reason(StrEnum):
    """Why a request was refused."""

    QUEUE = "queue"
    MEMORY = "memory"
    DEADLINE = "deadline"


_SAYS = {
    Reason.QUEUE: "the queue is full; try again, or another pod",
    Reason.MEMORY: "the memory limit is near; try again, or another pod",
    Reason.DEADLINE: "the deadline would pass, or has passed, before the work could begin",
}


class RefusedError(TonnageError):
    """A request was not let in, or not begun."""

    http_status = 503

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SAYS[reason])
        self.reason = reason
        self.retry_after_s = 1


class Admission:
    """Lets requests in, one after the other in the order of their coming.

    Belongs to one event loop. A request calls `enter` when its head is there, `Turn.begin` when its body is,
    and leaves the turn (a context manager) when it is answered.

    Args:
        concurrency: how many are worked on at once, or what finds that out.
        budget_s: longest time that a request that is let in should spend inside.
        clock: monotonic seconds.
    """

    def __init__(
        self, *, concurrency: int | Pace, budget_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._concurrency = concurrency
        self.budget_s = budget_s
        self.memory_share = 0.0
        """Used share of the memory limit; whoever watches it writes it here."""
        self.refused = dict.fromkeys(Reason, 0)
        """Requests refused so far."""
        self.service_s = budget_s * FIRST_GUESS
        """Running mean of the seconds of work per request."""
        self._clock = clock
        self._inside = 0
        self._left_at = 0.0
        self._running = 0
        self._queue: deque[Turn] = deque()

    @property
    def concurrency(self) -> int:
        """How many are worked on at once, at most."""
        return self._concurrency.number if isinstance(self._concurrency, Pace) else self._concurrency

    @property
    def limit(self) -> int:
        """How many may be inside now, by Little's law."""
        fitting = self.concurrency * self.budget_s / self.service_s
        return max(self.concurrency, LEAST_INSIDE, math.floor(fitting))

    @property
    def inside(self) -> int:
        """How many are inside: worked on, waiting for their turn, or sending their body."""
        return self._inside

    @property
    def queued(self) -> int:
        """How many are inside and not worked on."""
        # Who has left is not inside any more, and keeps its place until the loop's next round.
        return max(0, self._inside - self._running)

    def enter(self, remaining_s: float = math.inf) -> "Turn":
        """Let a request in.

        Args:
            remaining_s: time until the caller's deadline.

        Raises:
            RefusedError: no room, or no time.
        """
        reason = self.turned_away(remaining_s)
        if reason is not None:
            raise RefusedError(reason)
        self._inside += 1
        return Turn(self, self._clock() + remaining_s)

    def turned_away(self, remaining_s: float = math.inf) -> Reason | None:
        """Why a request is refused now, which is counted; None if it would be let in.

        Args:
            remaining_s: time until the caller's deadline.
        """
        reason = self._objection(remaining_s)
        if reason is not None:
            self.refused[reason] += 1
        return reason

    def _objection(self, remaining_s: float) -> Reason | None:
        if self.memory_share >= MEMORY_WATERMARK:
            return Reason.MEMORY
        if self._inside >= self.limit * (PATIENT if remaining_s < math.inf else 1):
            return Reason.QUEUE
        # Those before it, and itself.
        rounds = self._inside // self.concurrency + 1
        if remaining_s <= 0 or (self._inside and rounds * self.service_s > remaining_s):
            return Reason.DEADLINE
        return None

    async def begin(self, turn: "Turn") -> None:
        """Wait until it is the turn's turn; see `Turn.begin`."""
        if turn.deadline < self._clock():
            self._refuse(Reason.DEADLINE)
        if self._running < self.concurrency and not self._queue:
            self._running += 1
            turn.began = self._clock()
            return
        turn.woken = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        if not await turn.woken:
            self._refuse(Reason.DEADLINE)

    def leave(self, turn: "Turn") -> None:
        """Give the turn's place back, however far it came."""
        self._inside -= 1
        if turn.began is None:
            if turn in self._queue:
                self._queue.remove(turn)
            return
        self._left_at = self._clock()
        self._learn(self._left_at - turn.began)
        if isinstance(self._concurrency, Pace):
            full = self._running >= self._concurrency.number
            self._concurrency.tune(self.service_s, full=full, now=self._left_at)
        # The place is free in the loop's next round only: meanwhile the loop looks at its sockets, so that
        # who waits there is counted or refused, and probes are answered between two computations.
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._running -= 1
        while self._queue and self._running < self.concurrency:
            turn = self._queue.popleft()
            if turn.woken is None or turn.woken.done():
                continue
            in_time = self._clock() <= turn.deadline
            if in_time:
                # What the loop did since the place became free, refusals for one, is part of what a place in
                # the queue costs.
                turn.began = self._left_at
                self._running += 1
            turn.woken.set_result(in_time)

    def _learn(self, seconds: float) -> None:
        believed = min(max(seconds, LEAST_S), OUTLIER * self.service_s)
        self.service_s += SMOOTHING * (believed - self.service_s)

    def _refuse(self, reason: Reason) -> NoReturn:
        self.refused[reason] += 1
        raise RefusedError(reason)


class Turn:
    """One request's place; a context manager that gives the place back."""

    __slots__ = ("_admission", "began", "deadline", "woken")

    def __init__(self, admission: Admission, deadline: float) -> None:
        self._admission = admission
        self.deadline = deadline
        self.began: float | None = None
        self.woken: asyncio.Future[bool] | None = None

    async def begin(self) -> None:
        """Wait until it is this request's turn.

        Raises:
            RefusedError: the deadline passed meanwhile.
        """
        await self._admission.begin(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.leave(self)
