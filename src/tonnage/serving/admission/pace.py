"""How many requests a service works on at once, where that is not given by how it computes.

A service that waits for others answers the sooner the fewer it has in hand, once the processors are busy:
each takes its share from all. So the number falls in proportion while the mean service time is beyond its
target, and rises one by one while requests wait although the time is good (additive increase, multiplicative
decrease, as TCP finds its window: Chiu and Jain, 1989).
"""

import math

STEEPEST = 0.5
"""The number falls to this share of itself at once, at most."""


class Pace:
    """A number that follows the service time.

    Args:
        first: where it begins.
        least: where it ends falling.
        most: where it ends rising.
        target_s: service time that it is kept below.
    """

    def __init__(self, *, first: int, least: int, most: int, target_s: float) -> None:
        self._least, self._most, self._target_s = least, most, target_s
        self._number = float(first)
        self._tuned_at = -math.inf

    @property
    def number(self) -> int:
        """How many are worked on at once."""
        return int(self._number)

    def tune(self, service_s: float, *, full: bool, now: float) -> None:
        """Follow the mean service time; at most once in that time, for what was changed has to show first.

        Args:
            service_s: running mean, seconds.
            full: whether as many are worked on as may be.
            now: monotonic seconds.
        """
        if now - self._tuned_at < service_s:
            return
        self._tuned_at = now
        if service_s > self._target_s:
            falling = max(STEEPEST, self._target_s / service_s)
            self._number = max(float(self._least), self._number * falling)
        elif full:
            self._number = min(float(self._most), self._number + 1)
