"""Python's garbage collector, kept out of the requests' way.

Once a model and its libraries are loaded there are some hundred thousand long-lived objects. A full
collection walks all of them in the middle of a request: p99 of a similar handler was 62-98 ms, and 10 ms
after `gc.freeze(); gc.disable()`. Switching collection off alone would leak every reference cycle (a
traceback is one), so the old objects are frozen, and what came since is collected on a timer: that walk is
short, because only the young objects are left to visit.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

EVERY_S = 10.0
"""Seconds between two collections."""


@asynccontextmanager
async def quiet_collector(every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Freeze what is loaded by now, and collect the rest on a timer while the context lasts."""
    gc.collect()
    gc.freeze()
    gc.disable()
    sweeper = asyncio.create_task(_sweep(every_s))
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        gc.enable()
        gc.unfreeze()


async def _sweep(every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
