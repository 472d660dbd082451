"""How many requests per second a queue answers in time. Pure.

Requests come at random, `servers` work at once, service times are exponential, and who finds no room inside
is refused: M/M/c for the time, M/M/c/K for the refusals (Kleinrock 1975, Queueing Systems I, sections 3.5 to
3.7). Real service times are more even, so the true knee lies higher; a model that is fitted with the same
formula that it predicts with takes most of that back.
"""

import math
from dataclasses import dataclass

STEPS = 40
"""Halvings of the interval in which the highest rate lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A service, as a queue sees it.

    Attributes:
        service_s: mean seconds that one server works on a request.
        servers: that work at once, at least 1.
        room: requests that may be inside, at least 1; a fraction is between its neighbours.
    """

    service_s: float
    servers: int
    room: float = math.inf

    def failing(self, rate: float, within_s: float) -> float:
        """Share of the requests that are refused or take longer; an upper bound, since some would do both.

        Args:
            rate: requests per second.
            within_s: seconds.
        """
        offered = rate * self.service_s
        servers = max(1, math.floor(min(self.servers, self.room)))
        if offered >= servers:
            return 1.0
        loss = _erlang_b(servers, offered)
        share = offered / servers
        waits = loss / (1 - share * (1 - loss))
        return min(1.0, self._late(rate, within_s, servers, waits) + self._refused(servers, loss, share))

    def highest(self, within_s: float, quantile: float) -> float:
        """The highest rate at which a share `quantile` is answered within a time; 0 where none is.

        Args:
            within_s: seconds.
            quantile: such as 0.99.
        """
        low, high = 0.0, self.servers / self.service_s
        for _ in range(STEPS):
            middle = (low + high) / 2
            if self.failing(middle, within_s) <= 1 - quantile:
                low = middle
            else:
                high = middle
        return low

    def _late(self, rate: float, within_s: float, servers: int, waits: float) -> float:
        """P(T > t) of M/M/c: those who wait, wait exponentially with the spare capacity as its rate."""
        one = 1 / self.service_s
        spare = servers * one - rate
        apart = spare - one
        served = math.exp(-one * within_s)
        if abs(apart) < 1e-6 * one:
            return served * (1 + waits * one * within_s)
        return served + waits * one * (served - math.exp(-spare * within_s)) / apart

    def _refused(self, servers: int, loss: float, share: float) -> float:
        """The chance that M/M/c/K is full: that of M/M/c/c, thinned out by each place to wait."""
        if math.isinf(self.room):
            return 0.0
        places = max(0.0, self.room - servers)
        full = loss * math.pow(share, places)
        waiting = loss * share * (1 - math.pow(share, places)) / (1 - share)
        return full / (1 + waiting)


def _erlang_b(servers: int, offered: float) -> float:
    """The chance that all servers of M/M/c/c are busy, by its recursion."""
    loss = 1.0
    for count in range(1, servers + 1):
        loss = offered * loss / (count + offered * loss)
    return loss
