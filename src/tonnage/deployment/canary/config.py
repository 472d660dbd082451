"""The `[canary]` table of `tonnage.toml`."""

from tonnage.deployment.canary.steps import Steps
from tonnage.deployment.judge.config import JudgeConfig


class CanaryConfig(Steps, JudgeConfig):
    """How a canary is walked, and how it is judged at each step."""
