"""`load-line.json`: what a service carried, by memory limit and precision, and how that was found."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import ConfigError, LoadError
from tonnage.files import whole_file
from tonnage.load.searching import End, Ending, Search, decide, known
from tonnage.load.slo import level
from tonnage.settings import Section

SCHEMA_VERSION = 1

MIB = 2**20

Finite = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Quantile = Annotated[str, Field(pattern=r"^p\d{1,2}(\.\d{1,3})?$")]
"""Such as `p99`."""


class Machine(Section):
    """Where it was measured; figures of another machine are not to be compared."""

    processor: str
    cores: int = Field(ge=1)
    memory_bytes: int = Field(ge=1)


class Objective(Section):
    """What "holds" means, as far as a model needs it; the whole SLO is in its own file."""

    name: str
    """Of the SLO."""

    quantile: float = Field(0.99, gt=0.5, lt=1)
    """The share of requests that must be answered in time."""

    latency_ms: float = Field(gt=0, allow_inf_nan=False)
    """The time."""

    @classmethod
    def of(cls, name: str, at_most_ms: Mapping[str, float]) -> Self:
        """Of an SLO's limits by quantile the one of the largest, which breaks first when a queue grows."""
        largest = max(at_most_ms, key=level)
        return cls(name=name, quantile=level(largest), latency_ms=at_most_ms[largest])


class Usage(Section):
    """What the pods of one bento used during a try; there is one pod of each unless it says otherwise."""

    pods: int = Field(1, ge=1)
    cpu_cores: Finite
    """All pods together, on average."""

    memory_bytes: int = Field(ge=0)
    """The largest working set of a pod."""

    memory_limit_bytes: int | None = Field(None, ge=1)
    """Of a pod; None where it has none."""


class Try(Section):
    """One load run at one rate."""

    at: AwareDatetime
    """When it began."""

    seconds: Finite
    rate: float = Field(gt=0, allow_inf_nan=False)
    """Requests per second that were asked for."""

    outcome: Outcome
    """Pass and fail; everything else is no measurement, whatever the figures."""

    reasons: tuple[str, ...] = ()
    """Why, in the gate's words."""

    achieved: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Requests per second that were answered well."""

    latency_ms: dict[Quantile, Finite] = Field(default_factory=dict)
    """By quantile, such as `p99`."""

    memory_bytes: int | None = Field(None, ge=0)
    """The largest working set of the pod whose limit is walked."""

    memory: tuple[tuple[Finite, int], ...] = ()
    """The same over time: seconds since the try began, bytes; a few dozen at most."""

    usage: dict[str, Usage] = Field(default_factory=dict)
    """By bento."""

    generator_cpu: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Share of one core that the busiest process of the generator took, on average."""

    run: str | None = None
    """Folder of the run, where it was kept."""

    @property
    def counts(self) -> bool:
        """Whether it is a measurement, which an error is not."""
        return self.outcome in {Outcome.PASS, Outcome.FAIL}


class Place(Section):
    """Where a highest rate is searched for: a memory limit, and an index that fits it."""

    memory_limit_bytes: int = Field(ge=1)
    cpu_cores: float = Field(gt=0, allow_inf_nan=False)
    """That the pod may use: its limit, or the machine's."""

    precision: str
    """The index variant, such as `hnsw-i8`."""

    resident_bytes: int = Field(ge=0)
    """Memory that it keeps resident, by the release's manifest."""

    needed_bytes: int = Field(ge=0)
    """The least limit with which a pod serves it, by the memory plan."""

    recall_at_100: float = Field(ge=0, le=1)
    """Share of the exact top 100 that it finds, by the manifest."""


class Point(Section):
    """What was found there, or is predicted."""

    place: Place
    source: Literal["measured", "predicted"]
    ending: Ending | Literal["interrupted"]
    """Why the search was over."""

    highest_rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    """The highest rate that held the objective, requests per second; None where none did."""

    low: float | None = Field(None, ge=0, allow_inf_nan=False)
    """The answer is surely not below: the highest that held, or the end of the prediction's interval."""

    high: float | None = Field(None, ge=0, allow_inf_nan=False)
    """The answer is below: the least rate that broke, or the end of the interval; None if unknown."""

    confirmed: bool = False
    """Whether the highest rate passed as often as was asked for."""

    latency_ms: dict[Quantile, Finite] = Field(default_factory=dict)
    """At the highest rate, by quantile: the median of its passes."""

    memory_bytes: int | None = Field(None, ge=0)
    """At the highest rate: the largest working set of the pod."""

    usage: dict[str, Usage] = Field(default_factory=dict)
    """At the highest rate, by bento: CPU on average, memory at most; empty where it was not sampled."""

    tries: tuple[Try, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.highest_rate is not None and self.low is not None and self.low > self.highest_rate:
            raise ValueError("the interval does not hold the highest rate")
        if self.highest_rate is not None and self.high is not None and self.high < self.highest_rate:
            raise ValueError("the interval does not hold the highest rate")
        if self.source == "predicted" and self.tries:
            raise ValueError("what was tried is not predicted")
        return self

    @classmethod
    def of(cls, place: Place, tries: Sequence[Try], search: Search) -> "Point":
        """What tries say of a place, complete or interrupted."""
        step = decide(tries, search)
        bounds = known(tries, search)
        answer = None if bounds.highest is None else search.level(bounds.highest)
        at_it = [each for each in tries if each.outcome is Outcome.PASS and search.level(each.rate) == answer]
        names = sorted({name for each in at_it for name in each.latency_ms}, key=level)
        return cls(
            place=place,
            source="measured",
            ending=step.ending if isinstance(step, End) else "interrupted",
            highest_rate=bounds.highest,
            low=bounds.highest,
            high=None if bounds.unmeasured else bounds.breaks,
            confirmed=bounds.confirmed,
            latency_ms={
                name: median(each.latency_ms[name] for each in at_it if name in each.latency_ms)
                for name in names
            },
            memory_bytes=max(
                (each.memory_bytes for each in at_it if each.memory_bytes is not None), default=None
            ),
            usage=_usage([each.usage for each in at_it if each.usage]),
            tries=tuple(tries),
        )


class LoadLine(Section):
    """The file."""

    schema_version: Literal[1] = 1
    written: AwareDatetime
    machine: Machine
    release: str
    items: int = Field(ge=1)
    """Of the catalogue."""

    dimensions: int = Field(ge=1)
    """Of the item vectors."""

    recall_floor: float = Field(ge=0, le=1)
    """No pod serves a variant with less recall@100."""

    bento: str = "retriever"
    """Whose memory limit is walked."""

    objective: Objective
    search: Search = Search()
    points: tuple[Point, ...] = ()

    def point(self, place: Place) -> Point | None:
        """What is known of a place."""
        return next((each for each in self.points if each.place == place), None)

    def with_point(self, point: Point) -> "LoadLine":
        """The line with what was just learned of one place."""
        others = tuple(each for each in self.points if each.place != point.place)
        return self.model_copy(update={"points": (*others, point)})


def _usage(passes: Sequence[dict[str, Usage]]) -> dict[str, Usage]:
    bentos = sorted({bento for each in passes for bento in each})
    return {bento: _together([each[bento] for each in passes if bento in each]) for bento in bentos}


def _together(usages: Sequence[Usage]) -> Usage:
    return Usage(
        pods=max(each.pods for each in usages),
        cpu_cores=sum(each.cpu_cores for each in usages) / len(usages),
        memory_bytes=max(each.memory_bytes for each in usages),
        memory_limit_bytes=usages[0].memory_limit_bytes,
    )


def write_line(line: LoadLine, file: Path) -> None:
    """Write a line; whoever reads the file meanwhile finds the former one."""
    text = json.dumps(line.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(file) as fresh:
        fresh.write_text(text, encoding="utf-8")


def read_line(file: Path) -> LoadLine:
    """Read and check a line.

    Raises:
        LoadError: there is no such file, it is no load line, or another version wrote it; in one sentence.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LoadError(
            "there is no load line", hint="`tonnage load line` measures one.", file=file
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"this is not a load line: {error}", file=file) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise LoadError(
            "this is not a load line",
            hint="Give the load-line.json that `tonnage load line` wrote.",
            file=file,
        )
    if content["schema_version"] != SCHEMA_VERSION:
        raise LoadError(
            f"the load line has schema version {content['schema_version']}, and this tonnage reads"
            f" {SCHEMA_VERSION}",
            hint="Measure it again, or use the version that wrote it.",
            file=file,
        )
    try:
        return LoadLine.read(content, where="load line")
    except ConfigError as error:
        raise LoadError(f"the load line is damaged: {error.problem}", file=file) from error
