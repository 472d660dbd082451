"""A service that exists only as a queue: requests come at random, wait for a server, and take memory."""

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from tonnage.deployment.judge.verdict import Outcome
from tonnage.index import predict_bytes, variants_for
from tonnage.load.line import LoadLine, Machine, Objective, Place, Try, Usage
from tonnage.load.searching import Search

MIB = 2**20
STARTED = datetime(2026, 1, 5, 12, tzinfo=UTC)
MACHINE = Machine(processor="simulated", cores=4, memory_bytes=64 * 2**30)
OBJECTIVE = Objective(name="simulated", quantile=0.99, latency_ms=100)


@dataclass
class Retriever:
    """How long a search takes, and what memory is for, at every size of catalogue.

    Attributes:
        servers: requests that are worked on at once.
        spread: coefficient of variation of the time that a request takes.
        request_bytes: memory that each request in the pod holds.
        kept: requests that the memory plan keeps room for.
        requests: answered per try.
    """

    items: int
    dimensions: int = 64
    servers: int = 2
    spread: float = 0.5
    request_bytes: int = 256 * 1024
    kept: int = 16
    base_bytes: int = 150 * MIB
    bytes_per_item: int = 90
    requests: int = 4000
    seed: int = 7
    runs: int = field(default=0)
    clock_s: float = field(default=0.0)

    def service_s(self, variant: str) -> float:
        """Mean time of one request: a little for itself, and what the search looks at."""
        precision = {"f32": 1.3, "f16": 1.1, "i8": 1.0, "i8half": 0.9}[variant.partition("-")[2]]
        search = 2.2e-7 * self.items if variant.startswith("exact") else 2.6e-4 * np.log2(self.items)
        return float(1.1e-3 + precision * search)

    def place(self, variant: str, limit: int) -> Place:
        """Where a line is measured."""
        resident = predict_bytes(variant, self.items, self.dimensions)
        kept = self.kept * self.request_bytes
        needed = int((self.base_bytes + self.bytes_per_item * self.items + resident + kept) / 0.95)
        return Place(
            memory_limit_bytes=limit,
            cpu_cores=self.servers,
            precision=variant,
            resident_bytes=resident,
            needed_bytes=needed,
            recall_at_100={"f32": 1.0, "f16": 0.999, "i8": 0.98, "i8half": 0.93}[variant.partition("-")[2]],
        )

    def places(self, *, room: tuple[float, ...] = (1.5,)) -> list[Place]:
        """Every precision, each with limits that are so many times what it needs."""
        needed = {each: self.place(each, MIB).needed_bytes for each in variants_for(self.items)}
        return [self.place(each, int(needed[each] * times)) for each in needed for times in room]

    def line(self, release: str = "r-20260105-00000001") -> LoadLine:
        """Where nothing was measured yet."""
        return LoadLine(
            written=STARTED,
            machine=MACHINE,
            release=release,
            items=self.items,
            dimensions=self.dimensions,
            recall_floor=0.95,
            objective=OBJECTIVE,
            search=Search(start=20),
        )

    def settings(self) -> int:
        """Nothing is changed, since it does not exist."""
        return 0

    def move(self, place: Place) -> None:
        """It is everywhere."""

    def put_back(self, settings: int) -> None:
        """Nothing was changed."""

    def measure(self, place: Place, rate: float) -> Try:
        """Let requests come, wait and go; fails when too many are late or refused."""
        self.runs += 1
        base = self.base_bytes + self.bytes_per_item * self.items + place.resident_bytes
        room = int((0.95 * place.memory_limit_bytes - base) // self.request_bytes)
        random = np.random.default_rng((self.seed, self.runs))
        took, most, busy = self._queue(rate, self.service_s(place.precision), max(room, 0), random)
        answered = took[np.isfinite(took)]
        late = float(np.mean(took > OBJECTIVE.latency_ms / 1000))
        seconds = self.requests / rate
        began = STARTED + timedelta(seconds=self.clock_s)
        self.clock_s += seconds + 5
        memory = base + most * self.request_bytes
        return Try(
            at=began,
            seconds=seconds,
            rate=rate,
            outcome=Outcome.PASS if late <= 1 - OBJECTIVE.quantile else Outcome.FAIL,
            reasons=()
            if late <= 1 - OBJECTIVE.quantile
            else (f"{late:.1%} of the requests were late or refused",),
            achieved=len(answered) / seconds,
            latency_ms={
                f"p{q:g}": float(np.percentile(answered, q) * 1000) for q in (50, 99) if len(answered)
            },
            memory_bytes=memory,
            memory=((0.0, base), (seconds, memory)),
            usage={
                "retriever": Usage(
                    cpu_cores=busy / seconds, memory_bytes=memory, memory_limit_bytes=place.memory_limit_bytes
                ),
                "ranker": Usage(
                    cpu_cores=0.0008 * rate, memory_bytes=200 * MIB, memory_limit_bytes=768 * MIB
                ),
                "recommender": Usage(
                    cpu_cores=0.002 * rate, memory_bytes=300 * MIB, memory_limit_bytes=1024 * MIB
                ),
            },
        )

    def _queue(
        self, rate: float, service_s: float, room: int, random: np.random.Generator
    ) -> tuple[np.ndarray, int, float]:
        """Seconds that each request took (infinite: refused), the most at once, and seconds of work."""
        arrivals = np.cumsum(random.exponential(1 / rate, self.requests))
        sigma = np.sqrt(np.log1p(self.spread**2))
        work = random.lognormal(np.log(service_s) - sigma**2 / 2, sigma, self.requests)
        free = [0.0] * self.servers
        inside: list[float] = []
        took = np.full(self.requests, np.inf)
        most = 0
        for i, (at, needs) in enumerate(zip(arrivals.tolist(), work.tolist(), strict=True)):
            while inside and inside[0] <= at:
                heapq.heappop(inside)
            if len(inside) >= room:
                continue
            done = max(at, free[0]) + needs
            heapq.heapreplace(free, done)
            heapq.heappush(inside, done)
            most = max(most, len(inside))
            took[i] = done - at
        return took, most, float(work[np.isfinite(took)].sum())
