"""Recommendations through the Gateway, asked for by people who ask by the clock, at a steady rate.

The same people as Locust's (`locustfile.py`): each asks once a second at her own moment of it, on her own
connection. But the client here is the one that the services use among themselves. Locust's own work between
an answer's last byte and its clock is in each time that it tells: its p50 was 0.2 to 0.8 ms longer, in
alternating runs at 20 requests/s.
"""

import asyncio
import gc
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from measures import Measure, at_least, at_most
from shoppers import PATH, SEED, known_users, wish
from shops import Shop
from tonnage.serving.wire import Answer, Wire

RATE = 20
"""People, each of whom asks once a second: requests per second."""

SLATE = 10
"""Items asked for."""

WARM_UP_S = 10
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What was seen.

    Attributes:
        times: milliseconds of each request that was answered well.
        failed: what was wrong with each of the others.
    """

    times: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def measure(name: str, shop: Shop, project: Path, *, p50: float, p99: float, seconds: int) -> list[Measure]:
    """What was promised of a shop's latency beside what was seen.

    Args:
        name: of the shop, in words.
        shop: that is asked.
        project: directory of the project whose users ask.
        p50: milliseconds promised; likewise p99.
        p99: milliseconds promised.
        seconds: of asking, after a warm-up.
    """
    known = known_users(project)
    asked(shop, known, WARM_UP_S)
    seen = asked(shop, known, seconds)
    times = sorted(seen.times)
    if not times:
        why = f"no request was answered; {len(seen.failed)} failed: {', '.join(sorted(set(seen.failed)))}"
        return [Measure(name=f"{name}: latency", target="measured", measured=why, holds=False)]
    what = f"{name}, through the Gateway at {RATE} requests/s"
    return [
        at_least(f"{what}: requests answered", 0.95 * RATE * seconds, len(times)),
        at_most(f"{what}: requests that failed", 0, len(seen.failed), ""),
        at_most(f"{what}: p50", p50, quantile(times, 0.50), "ms"),
        at_most(f"{what}: p99", p99, quantile(times, 0.99), "ms"),
    ]


def asked(shop: Shop, known: Sequence[str], seconds: float) -> Asked:
    """Let people ask for so long."""
    seen = Asked()
    # A pause of our own would look like one of the server's.
    gc.collect()
    gc.disable()
    try:
        uvloop.run(_everybody(shop, known, seconds, seen))
    finally:
        gc.enable()
    return seen


async def _everybody(shop: Shop, known: Sequence[str], seconds: float, seen: Asked) -> None:
    seeds, start = random.Random(SEED), time.monotonic()
    async with asyncio.TaskGroup() as people:
        for _ in range(RATE):
            chance = random.Random(seeds.random())
            people.create_task(_person(shop, known, chance, start, start + seconds, seen))


async def _person(
    shop: Shop, known: Sequence[str], chance: random.Random, start: float, end: float, seen: Asked
) -> None:
    wire, due = Wire(shop.gateway), start + chance.random()
    while due < end:
        # Late where the last answer was; then at once, and by the clock again.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        head, body = question(shop.host, *wish(chance, known, slate=SLATE))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await wire.ask(head, body)
        except OSError as error:
            seen.failed.append(type(error).__name__)
        else:
            milliseconds = 1000 * (time.perf_counter() - began)
            wrong = complaint(answer)
            if wrong:
                seen.failed.append(wrong)
            else:
                seen.times.append(milliseconds)
        due += 1.0
    wire.close()


def question(host: str, body: dict[str, object], headers: dict[str, str]) -> tuple[bytes, bytes]:
    """The head of a request without its body's length, and the body. Pure."""
    told = {"host": host, "content-type": "application/json", **headers}
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "".join(f"{line}\r\n" for line in lines).encode(), json.dumps(body).encode()


def complaint(answer: Answer) -> str:
    """What is wrong with an answer; empty for a 200 with a full slate and no fallback. Pure."""
    if answer.status != 200:
        return f"status {answer.status}"
    told = json.loads(answer.body)
    if len(told["items"]) != SLATE:
        return "a short slate"
    return f"fallback {told['fallback']}" if told.get("fallback") else ""


def quantile(times: Sequence[float], share: float) -> float:
    """The smallest time that `share` of the requests stayed within; `times` ascending, not empty. Pure."""
    return times[min(len(times) - 1, int(share * len(times)))]
