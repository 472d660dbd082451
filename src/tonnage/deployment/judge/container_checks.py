"""Checks of what the canary's containers did: ended, or filled their memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from tonnage.deployment.judge.checks import unmeasured
from tonnage.deployment.judge.measurements import CONTAINERS, MEMORY, Container, Observed
from tonnage.deployment.judge.verdict import Finding, Outcome

AS_STABLE = 0.05
"""A canary may use this share of its memory limit more than stable does, however full stable is."""


class Restarts:
    """Any container of the canary that ended and was started again, for whatever reason."""

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding per container that ended; one in all when none did."""
        containers = observed.canary.containers
        if not containers:
            return [unmeasured("restarts", observed, required=True, measurement=CONTAINERS)]
        ended = [each for each in containers if each.restarts or each.ended]
        if not ended:
            says = f"none in {len(containers)} containers of the canary"
            return [Finding(check="restarts", outcome=Outcome.PASS, reason=says)]
        return [Finding(check="restarts", outcome=Outcome.FAIL, reason=_in_words(each)) for each in ended]


def _in_words(container: Container) -> str:
    times = f", started again {container.restarts} times" if container.restarts else ""
    why = f" ended: {container.ended}" if container.ended else " ended"
    return f"{container.name} of pod {container.pod}{why}{times}; none may"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Working set against the memory limit, now.

    Args:
        share: of the limit, above which the canary fails unless stable's same container is nearly as full.
    """

    share: float

    def judge(self, observed: Observed) -> Sequence[Finding]:
        """One finding, of the fullest container."""
        containers = [each for each in observed.canary.containers if each.limit]
        measured = [each for each in containers if each.memory is not None]
        if not observed.canary.containers or len(measured) < len(containers):
            return [unmeasured("memory", observed, required=True, measurement=MEMORY)]
        if not containers:
            says = "the canary's containers have no memory limit"
            return [Finding(check="memory", outcome=Outcome.NOT_JUDGED, reason=says)]
        return [self._of_fullest(measured, observed.stable.containers)]

    def _of_fullest(self, canary: Sequence[Container], stable: Sequence[Container]) -> Finding:
        def over(container: Container) -> float:
            return _filled(container) - self._allowed(container, stable)

        worst = max(canary, key=over)
        allowed = self._allowed(worst, stable)
        outcome = Outcome.FAIL if over(worst) > 0 else Outcome.PASS
        says = (
            f"{worst.name} of pod {worst.pod} uses {_filled(worst):.0%} of its limit of {_mib(worst)}; "
            f"{'more' if over(worst) > 0 else 'not more'} than {allowed:.0%}"
        )
        return Finding(check="memory", outcome=outcome, reason=says)

    def _allowed(self, container: Container, stable: Sequence[Container]) -> float:
        same = [_filled(each) for each in stable if each.name == container.name and each.limit]
        return max(self.share, *(filled + AS_STABLE for filled in same)) if same else self.share


def _filled(container: Container) -> float:
    return (container.memory or 0) / (container.limit or 1)


def _mib(container: Container) -> str:
    return f"{(container.limit or 0) / 2**20:,.0f} MiB"
