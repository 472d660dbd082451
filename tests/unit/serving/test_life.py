"""Stopping, and the garbage collector."""

import asyncio
import gc
import os
import signal
import weakref

from tonnage.serving.collector import quiet_collector
from tonnage.serving.draining import drained_on_sigterm


async def test_sigterm_ends_readiness_first_and_the_server_later():
    """A server that closes its socket at once fails the requests of gateways that still have its address."""
    stopped, told = asyncio.Event(), asyncio.Event()
    server = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        with drained_on_sigterm(0.2, told.set) as draining:
            assert not draining.begun
            assert not told.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0)
            assert draining.begun
            assert told.is_set()
            assert not stopped.is_set()
            await asyncio.wait_for(stopped.wait(), 5)
        assert signal.getsignal(signal.SIGTERM) is not None
    finally:
        signal.signal(signal.SIGTERM, server)


class Knot:
    """Refers to itself, so only a collection can free it."""

    def __init__(self):
        self.itself = self


async def test_cycles_are_freed_although_automatic_collection_is_off():
    """With collection merely off, every traceback would leak its frames."""
    async with quiet_collector(0.01):
        assert not gc.isenabled()
        gone = asyncio.Event()
        knot = Knot()
        weakref.finalize(knot, gone.set)
        del knot
        await asyncio.wait_for(gone.wait(), 5)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
