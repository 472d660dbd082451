"""Judge a canary once a window, and look at its containers every few seconds in between."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.canary.config import CanaryConfig
from tonnage.deployment.canary.tracks import CANARY
from tonnage.deployment.judge import pods
from tonnage.deployment.judge.container_checks import Restarts
from tonnage.deployment.judge.judging import judge
from tonnage.deployment.judge.measurements import ERRORS, Observed, Track
from tonnage.deployment.judge.prometheus import Prometheus
from tonnage.deployment.judge.reading import Trial, observe
from tonnage.deployment.judge.verdict import Outcome, Verdict, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a look gave.

    Args:
        verdict: of all the canary's time.
        requests: how many the canary was asked since it has its present weight.
    """

    verdict: Verdict
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who looks at a canary.

    Args:
        name: the Helm release.
        namespace: where it is.
        access: the cluster.
        config: what is compared.
        prometheus: what counts requests.
    """

    name: str
    namespace: str
    access: ClusterAccess
    config: CanaryConfig
    prometheus: Prometheus

    def judge(self, *, began: datetime, since: datetime) -> Judged:
        """Measure and judge; what cannot be measured is in the verdict.

        Args:
            began: when the canary's traffic began.
            since: when it got its present weight.

        Raises:
            ConfigError: more windows than Prometheus gives at a time.
        """
        now = datetime.now(UTC)
        trial = Trial(name=self.name, namespace=self.namespace, config=self.config, since=began)
        seen = observe(trial, prometheus=self.prometheus, access=self.access, now=now)
        return Judged(verdict=judge(seen, self.config), requests=self._asked(seen, now - since))

    def fault(self, *, began: datetime) -> Verdict | None:
        """A fail when a container of the canary has ended; else None.

        Raises:
            ClusterError: the cluster does not answer.
        """
        if "restarts" in self.config.without:
            return None
        found = pods.pods_of(self.access, name=self.name, namespace=self.namespace)
        own = pods.of_track(found, {"tonnage.dev/track": CANARY})
        canary = Track(containers=pods.containers(own, since=began, memory={}))
        verdict = together(Restarts().judge(Observed(stable=Track(), canary=canary)))
        return verdict if verdict.outcome is Outcome.FAIL else None

    def until_next_window(self, began: datetime) -> float:
        """Seconds until there is more to judge: windows follow each other from the beginning on."""
        window = self.config.window_s
        passed = datetime.now(UTC).timestamp() - int(began.timestamp())
        return window - passed % window

    def _asked(self, seen: Observed, span: timedelta) -> int:
        counted = seen.canary.counted.get(ERRORS)
        windows = int(span.total_seconds() // self.config.window_s)
        return int(counted.requests[-windows:].sum()) if counted is not None and windows else 0
