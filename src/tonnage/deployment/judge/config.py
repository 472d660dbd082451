"""How a canary is judged: part of the `[canary]` table of `tonnage.toml`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tonnage.settings import Section

Check = Literal["errors", "fallbacks", "latency", "restarts", "memory", "coverage", "overlap", "score_shift"]


class Tolerance(Section):
    """How much a canary may differ from stable."""

    tolerated: float = Field(0.0005, ge=0, lt=1)
    """It fails when it surely differs by more than this share."""

    resolution: float = Field(0.005, gt=0, lt=1)
    """It passes when it surely differs by less than this share. The closer to what is tolerated or to what
    it shows, the more requests a pass needs."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.resolution <= self.tolerated:
            raise ValueError("resolution must be larger than tolerated")
        return self


class Rate(Tolerance):
    """How much oftener than stable a canary may do something that it should not.

    It fails surely above `ratio` times stable's rate and `tolerated`, and passes surely below that and
    `resolution`, which takes about 4 / `resolution` requests.
    """

    ratio: float = Field(1.5, gt=0)
    """Times stable's rate."""


class Slowness(Rate):
    """How much slower than stable a canary may be at one quantile."""

    ratio: float = Field(1.25, ge=1)
    """Times stable's quantile, rounded up to the next bucket of the histogram: what is slower than that is
    slow."""


class Guardrail(Section):
    """Where a single figure of the canary must lie beside stable's."""

    at_least: float | None = None
    """Times stable's figure."""

    at_most: float | None = None
    """Times stable's figure."""


class JudgeConfig(Section):
    """What is compared, how surely, and how much worse a canary may be."""

    stable: str = Field("stable", pattern=r"^[a-z0-9-]+$")
    """Track, or release id, to compare with. Set by who runs the rollout."""

    canary: str = Field("canary", pattern=r"^[a-z0-9-]+$")
    """Track, or release id, on trial. Set by who runs the rollout."""

    prometheus: str | None = None
    """Address of Prometheus; without it, that of the embedded cluster. Set by who runs the cluster."""

    matchers: str = Field("", pattern=r"^[^{}]*$")
    """More label matchers for every query, such as `cluster="eu"`. Set by who runs Prometheus."""

    window_s: int = Field(10, ge=1)
    """Seconds per window; at least twice the scrape interval. Set by who runs Prometheus."""

    history_s: int = Field(300, ge=0)
    """Seconds of stable before the canary that tell how stable is. Set by the service's owner."""

    false_aborts: float = Field(0.05, gt=0, lt=0.5)
    """Share of rollouts of a tolerable canary that may fail by chance, all checks and all looks together. Set
    by the service's owner."""

    false_promotions: float = Field(0.05, gt=0, lt=0.5)
    """Share of rollouts of an intolerable canary that may pass a check by chance. Set by the service's
    owner."""

    errors: Rate = Rate()
    """Answers with status 5xx. Set by who answers for the service objective."""

    fallbacks: Rate = Rate(tolerated=0.002, resolution=0.01)
    """Slates made without a part of the pipeline, for each named fallback. Set by the product team."""

    empty_slates: Rate = Rate(tolerated=0.002, resolution=0.01)
    """Slates without an item. Set by the product team."""

    coverage: Tolerance = Tolerance(tolerated=0.25, resolution=0.4)
    """How much more of what is shown may lie in as few places as hold half of stable's. Set by the product
    team."""

    overlap: Tolerance = Tolerance(tolerated=0.7, resolution=0.85)
    """Share of what is shown that stable does not show as often: a new model shows other items, and to users
    nobody knows a single other slate; a broken one hardly any of the same. Set by the ML engineers."""

    score_shift: Tolerance = Tolerance(tolerated=0.25, resolution=0.4)
    """How much lower slates may stand in the order of what the sources promise, from 0 for its top to 1 for
    its end: scores of two trainings have scales of their own, the order that they make has not. Set by the
    ML engineers."""

    p50: Slowness = Slowness(tolerated=0.05, resolution=0.15)
    """The median time to answer. Set by who answers for the service objective."""

    p99: Slowness = Slowness(tolerated=0.01, resolution=0.02)
    """The slowest hundredth. Set by who answers for the service objective."""

    route: str = Field("/v1/recommendations", pattern=r'^[^"\\]+$')
    """Whose latency is compared. Set by the service's owner."""

    memory: float = Field(0.95, gt=0, le=1)
    """Share of a container's limit above which it fails, unless stable's own is as high. Set by who pays for
    memory."""

    figures: dict[str, Guardrail] = Field(default_factory=dict)
    """Guardrails of single figures, such as `coverage = {at_least = 0.9}`. Set by the ML engineers."""

    without: tuple[Check, ...] = ()
    """Required checks that are left out on purpose; the verdict says so. Set by the service's owner."""
