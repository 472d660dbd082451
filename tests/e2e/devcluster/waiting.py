"""Waiting for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

from tonnage.errors import ClusterError

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, within_s: float = 60) -> T:
    """Ask until the answer is true, and return it; what was wrong the last time is the failure's message."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = ask()
            if answer:
                return answer
            reason: object = answer
        except (AssertionError, ClusterError, OSError) as error:
            reason = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {reason!r}")
        time.sleep(0.2)
