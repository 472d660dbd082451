"""A service that stops without failing a request.

The order is: readiness off and every connection closed with its next answer, go on serving until nobody sends
any more, then finish what is in flight.
uvicorn alone closes its socket the moment SIGTERM arrives, while gateways still have the address; and
BentoML's `/readyz` stays 200.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Draining:
    """Whether the service has been told to stop."""

    def __init__(self) -> None:
        self.begun = False


@contextmanager
def drained_on_sigterm(drain_s: float, told: Callable[[], None] = lambda: None) -> Iterator[Draining]:
    """Put `drain_s` seconds between SIGTERM and the server's own reaction to it.

    Args:
        drain_s: how long.
        told: called when SIGTERM comes.

    Must be entered in a running event loop, after the server installed its handlers (a lifespan is).
    Outside of the main thread, where there are no signals, nothing is installed.
    """
    state = Draining()
    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    loop = asyncio.get_running_loop()
    server = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        if callable(server):
            server(signal.SIGTERM, None)
        else:
            raise SystemExit(128 + signal.SIGTERM)

    def begin(_signal: int, _frame: FrameType | None) -> None:
        if not state.begun:
            state.begun = True
            told()
            loop.call_soon_threadsafe(loop.call_later, drain_s, stop)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield state
    finally:
        signal.signal(signal.SIGTERM, server)
