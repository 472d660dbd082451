"""What a load run must show: a service level objective as a TOML file, in `loadtests/slo/`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from tonnage.settings import Section, read_toml

QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _Part(Section):
    """Numbers are numbers: nothing compares with what is none, so it would pass everything."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Asked(_Part):
    """Which requests count, and how many of them make a verdict."""

    names: tuple[str, ...] = ()
    """As in Locust's statistics; all if empty."""

    warm_up_s: float = Field(0, ge=0)
    """Seconds at the beginning that are left out."""

    least: int = Field(1000, ge=1)
    """Requests below which there is no verdict."""

    least_seconds: float = Field(45, ge=0)
    """Seconds after the warm-up below which there is no verdict."""

    least_rate: Positive | None = None
    """Good answers/s that must be reached; not asked for if absent."""


class Latency(_Part):
    """How long good answers may take."""

    at_most_ms: Mapping[str, Positive] = Field(default_factory=dict)
    """By quantile: `p50 = 20`, `"p99.9" = 300`."""

    surely: bool = False
    """Whether the whole interval of a quantile must lie below its limit, or the quantile alone."""

    certainty: float = Field(0.95, gt=0.5, lt=1)
    """Of the intervals that are shown and, if `surely`, judged."""

    @field_validator("at_most_ms")
    @classmethod
    def _are_quantiles(cls, limits: Mapping[str, float]) -> Mapping[str, float]:
        for name in limits:
            if not QUANTILE.fullmatch(name) or not 0 < level(name) < 1:
                raise ValueError(f"{name} is no quantile such as p50, p99 or p99.9")
        return limits


class Answers(_Part):
    """How many answers may be bad."""

    errors: Share = 0.001
    """Share of requests that failed otherwise than by a 503."""

    refused: Share = 0.01
    """Share of requests that were refused with a 503."""


class Server(_Part):
    """What the pods may do meanwhile. What is absent is not asked for."""

    bentos: tuple[str, ...] = ()
    """Whose pods: retriever, ranker, recommender; all if empty."""

    memory_share: Positive | None = None
    """Working set at its highest, as a share of the memory limit."""

    oom_kills: int | None = Field(None, ge=0)
    """Pods in which something was killed for its memory."""

    restarts: int | None = Field(None, ge=0)
    """Containers that were started again."""

    throttled_share: Share | None = None
    """CFS periods in which a pod had used up its CPU limit."""

    leak_horizon_s: Positive | None = None
    """A working set that grows on and on must not reach the limit within so many seconds."""

    @property
    def asks(self) -> bool:
        """Whether pods must have been looked at."""
        limits = (self.memory_share, self.oom_kills, self.restarts, self.throttled_share, self.leak_horizon_s)
        return any(each is not None for each in limits)


class LoadGenerator(_Part):
    """How busy those who ask may be. Busier ones measure themselves, so there is no verdict."""

    cpu_mean: Positive = 0.75
    """Share of one core, by the busiest process, over the run."""

    cpu_max: Positive = 0.95
    """The same in its busiest moment."""


class Worse(_Part):
    """How much worse a figure may be than that of the kept runs."""

    tolerated: float = Field(ge=0)
    """Surely more than this is a regression."""

    noticed: float = Field(gt=0)
    """Runs that could hide so much tell nothing."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.noticed <= self.tolerated:
            raise ValueError("noticed must be larger than tolerated")
        return self


class Times(Worse):
    """How many times as large a figure may be."""

    tolerated: float = Field(ge=1)
    noticed: float = Field(gt=1)


class Against(_Part):
    """How runs are compared with kept ones."""

    least_pairs: int = Field(3, ge=2)
    """Pairs of runs below which there is no comparison: one pair knows nothing of chance."""

    in_turn: bool = True
    """Whether runs and kept ones must have been taken in turn. What changes from day to day on a machine
    is a regression otherwise."""

    false_alarms: float = Field(0.02, gt=0, lt=0.5)
    """Share of comparisons of an equal release that may fail by chance, all figures together."""

    latency: Times = Times(tolerated=1.1, noticed=1.8)
    """Of each quantile that has a limit."""

    cpu: Times = Times(tolerated=1.1, noticed=1.5)
    """CPU time of all pods for a good answer; compared where every run was sampled."""

    memory: Times = Times(tolerated=1.05, noticed=1.3)
    """Working set of the fullest pod; compared where every run was sampled."""

    bad_answers: Worse = Worse(tolerated=0.001, noticed=0.005)
    """Share of requests that failed or were refused, more than that of the kept runs."""


class Slo(_Part):
    """Everything that a run must show."""

    requests: Asked = Asked()
    latency: Latency = Latency()
    answers: Answers = Answers()
    server: Server = Server()
    generator: LoadGenerator = LoadGenerator()
    against: Against = Against()

    @classmethod
    def open(cls, file: Path) -> Self:
        """Read a file.

        Raises:
            ConfigError: there is none, or it has unknown keys or wrong values, each of them named.
        """
        return cls.read(read_toml(file), where=str(file))

    @model_validator(mode="after")
    def _enough(self) -> Self:
        for name in self.latency.at_most_ms:
            needed = round(1 / (1 - level(name)))
            if self.requests.least < needed:
                says = f"of fewer than {needed:,} requests, {name} is the slowest"
                raise ValueError(f"requests.least is {self.requests.least}: {says}")
        return self


def level(quantile: str) -> float:
    """`p99` as 0.99."""
    return float(quantile[1:]) / 100
