"""How a canary is walked: part of the `[canary]` table of `tonnage.toml`."""

from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from tonnage.settings import Section


class Steps(Section):
    """The canary's shares of the users, and how long each takes."""

    steps: tuple[int, ...] = (5, 25, 50, 100)
    """Per cent of the users, one step after the other; after the last comes the promotion. Set by who runs
    the rollout."""

    step_s: float = Field(60, ge=0)
    """Least seconds of a step. Set by who runs the rollout."""

    step_requests: int = Field(50, ge=0)
    """Least requests that the canary must have been asked in a step. Set by who runs the rollout."""

    patience_s: float = Field(120, ge=0)
    """Seconds in which the canary may not be measurable, in a row; new pods are not for half a minute. Set
    by who runs Prometheus."""

    timeout_s: float = Field(3600, gt=0)
    """Seconds after which `tonnage canary run` ends undecided. Set by who runs the rollout."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        steps = self.steps
        if not steps or not all(1 <= step <= 100 for step in steps):
            raise ValueError("steps must be per cent, from 1 to 100, one at least")
        if any(former >= later for former, later in pairwise(steps)):
            raise ValueError("steps must rise")
        return self
