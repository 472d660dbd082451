"""More requests than a shop can answer, through the Gateway: as many as asked for, and for so long only."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from tests.e2e.recommender.traffic import Shop

WAIT_S = 10


@dataclass(slots=True)
class Flooded:
    """What came back.

    Args:
        seconds: how long it took.
        statuses: how many answers had which status; 0 stands for no answer.
        bare: refusals that did not say when to come back, or not as a problem document.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    bare: list[str] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Slates a second."""
        return self.statuses[200] / self.seconds


def flood(
    shop: Shop, users: Sequence[str], *, connections: int, seconds: float, rate: float | None = None
) -> Flooded:
    """Ask for slates over a number of connections.

    Args:
        shop: whom to ask.
        users: for whom, in turn.
        connections: requests that may be on their way at once.
        seconds: for how long requests are begun.
        rate: requests a second, however slow the answers; without it each follows the one before.
    """
    return asyncio.run(_flood(shop, users, connections, seconds, rate))


async def _flood(
    shop: Shop, users: Sequence[str], connections: int, seconds: float, rate: float | None
) -> Flooded:
    found, turns, began = Flooded(), itertools.count(), time.monotonic()

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            turn = next(turns)
            due = began + turn / rate if rate else time.monotonic()
            if due >= began + seconds:
                return
            await asyncio.sleep(due - time.monotonic())
            await _slate(session, shop, users[turn % len(users)], found)

    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await asyncio.gather(*(ask(session) for _ in range(connections)))
    found.seconds = time.monotonic() - began
    return found


async def _slate(session: aiohttp.ClientSession, shop: Shop, user: str, found: Flooded) -> None:
    headers = {"host": shop.host, "x-user-id": user}
    body = {"user_id": user, "k": 10}
    try:
        async with session.post(f"{shop.gateway}/v1/recommendations", json=body, headers=headers) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as broken:
        found.statuses[0] += 1
        found.bare.append(repr(broken))
        return
    found.statuses[answer.status] += 1
    if answer.status == 503 and not (
        answer.headers.get("retry-after", "").isdigit() and answer.content_type == "application/problem+json"
    ):
        found.bare.append(f"{dict(answer.headers)} {text[:200]}")
