"""An unattended canary, killed and blinded at any moment, in a cluster where pods start at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.factories.lease import Reached, Server
from tests.factories.tracks import NEW, OLD, Cluster, track

from tonnage.deployment.canary import lease, rollout, running
from tonnage.deployment.canary.config import CanaryConfig
from tonnage.deployment.canary.lease import HeldError, Lease
from tonnage.deployment.canary.plan import Write
from tonnage.deployment.canary.rollout import Look, RefusedError, Rollout, moves
from tonnage.deployment.canary.running import Ended, Run
from tonnage.deployment.canary.tracks import CANARY, STABLE, park
from tonnage.deployment.canary.watching import Judged
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.judge.verdict import Finding, Outcome, Verdict, together
from tonnage.deployment.revisions import Revision
from tonnage.errors import ClusterError, InputError
from tonnage.telemetry import Silent

CONFIG = CanaryConfig(steps=(5, 50, 100), step_s=0, step_requests=1, patience_s=0, window_s=1)


class KilledError(BaseException):
    """The process is gone."""


@dataclass
class Fate:
    """What goes wrong at which touch of the cluster, counted over all processes."""

    strikes: dict[int, BaseException] = field(default_factory=dict)
    touches: int = 0

    def touch(self, server: Server) -> None:
        self.touches += 1
        strike = self.strikes.pop(self.touches, None)
        if isinstance(strike, KilledError):
            server.away = True  # who is dead lets go of nothing
        if strike is not None:
            raise strike


class Played(Rollout):
    """One process that moves the canary of a cluster in memory."""

    def __init__(self, cluster: Cluster, server: Server, fate: Fate, *, holder: str) -> None:
        super().__init__(Reached(server=server), DeploymentConfig(), progress=Silent())
        self.lease = Lease(self.access, name="shop", namespace="shop", holder=holder)
        self.cluster, self.server, self.fate = cluster, server, fate

    def look(self) -> Look:
        self.fate.touch(self.server)
        self.cluster.pods_get_ready()
        self.cluster.gateway_looks()
        revision = Revision(number=1, status="deployed", began=datetime.now(UTC), values={})
        return Look(revision=revision, objects=[], seen=self.cluster.seen())

    def _write(self, step: Write, look: Look) -> None:
        first = not self.lease.state.began
        self.lease.renew(**moves(look.seen.tracks, step.tracks, first=first))
        self.fate.touch(self.server)
        self.cluster.write(step)


@dataclass
class Eyes:
    """Who judges: what it is told to say at each weight, else a pass."""

    cluster: Cluster
    config: CanaryConfig = CONFIG
    says: Callable[[int], Outcome] = lambda _: Outcome.PASS
    faulty: bool = False

    def judge(self, *, began: datetime, since: datetime) -> Judged:
        canary = self.cluster.canary
        assert canary is not None
        assert canary["weight"], "judged before it had users"
        return Judged(verdict=verdict(self.says(canary["weight"])), requests=10)

    def fault(self, *, began: datetime) -> Verdict | None:
        return verdict(Outcome.FAIL) if self.faulty else None

    def until_next_window(self, began: datetime) -> float:
        return 0.001


def verdict(outcome: Outcome) -> Verdict:
    return together([Finding(check="errors", outcome=outcome, reason="as the test says")])


@dataclass
class Play:
    """A cluster, its Lease, and one process after the other."""

    cluster: Cluster
    eyes: Eyes
    server: Server = field(default_factory=Server)
    fate: Fate = field(default_factory=Fate)
    processes: int = 0

    def run(self, candidate: dict[str, object] | None = None, **options: bool) -> Ended:
        """A process of its own."""
        self.processes += 1
        self.server.away = False
        played = Played(self.cluster, self.server, self.fate, holder=f"process {self.processes}")
        given = track(NEW) if candidate is None else candidate
        return Run(rollout=played, watch=self.eyes, candidate=given, **options).to_its_end()  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="module")
def at_once() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "HOLD_S", 0.02)
        patch.setattr(lease, "LOOK_S", 0.005)
        patch.setattr(rollout, "LOOK_S", 0.0)
        patch.setattr(running, "PODS_EVERY_S", 0.001)
        yield


def play(**eyes: object) -> Play:
    cluster = Cluster.serving(track(OLD, weight=100), pods=2)
    return Play(cluster, Eyes(cluster, **eyes))  # type: ignore[arg-type]


def test_a_canary_equal_to_stable_is_promoted():
    scene = play()
    assert scene.run().outcome is Outcome.PASS
    assert scene.cluster.tracks[STABLE]["release"] == NEW
    assert scene.cluster.canary is None


@pytest.mark.parametrize("step", CONFIG.steps)
def test_a_fail_at_any_step_aborts_and_says_why(step: int):
    scene = play(says=lambda weight: Outcome.FAIL if weight == step else Outcome.PASS)
    ended = scene.run()
    assert (ended.outcome, ended.says) == (Outcome.FAIL, "errors: as the test says")
    assert scene.cluster.tracks[STABLE] == track(OLD, weight=100)


def test_a_container_that_ends_between_two_windows_aborts():
    assert play(says=lambda _: Outcome.INCONCLUSIVE, faulty=True).run().outcome is Outcome.FAIL


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True))
def test_a_run_that_is_killed_is_taken_up_and_comes_to_the_same_end(kills: list[int]):
    """Also when the kill falls into the promotion or into the abort."""
    for outcome in (Outcome.PASS, Outcome.FAIL):
        scene = play(says=lambda weight, end=outcome: end if weight >= 50 else Outcome.INCONCLUSIVE)
        scene.fate.strikes = {touch: KilledError() for touch in kills}
        ended = None
        while ended is None:
            try:
                ended = scene.run()
            except KilledError:
                continue
        assert ended is None or ended.outcome is outcome
        assert scene.cluster.tracks[STABLE]["release"] == (NEW if outcome is Outcome.PASS else OLD)
        assert scene.cluster.routed[STABLE] == 100
        assert scene.cluster.canary is None


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.lists(st.integers(3, 40), min_size=1, max_size=4, unique=True))
def test_a_cluster_that_is_away_for_a_moment_changes_nothing(blinks: list[int]):
    scene = play(config=CONFIG.model_copy(update={"patience_s": 60}))
    scene.fate.strikes = {touch: ClusterError("kubectl: connection refused") for touch in blinks}
    assert scene.run().outcome is Outcome.PASS
    assert scene.cluster.tracks[STABLE]["release"] == NEW


def test_a_prometheus_that_stays_away_leaves_the_traffic_where_it_is():
    scene = play(says=lambda weight: Outcome.ERROR if weight == 50 else Outcome.PASS)
    assert scene.run().outcome is Outcome.ERROR
    assert scene.cluster.routed == {STABLE: 50, CANARY: 50}
    scene.eyes.says = lambda _: Outcome.PASS
    assert scene.run().outcome is Outcome.PASS


def test_time_that_is_over_leaves_the_traffic_where_it_is():
    hasty = CONFIG.model_copy(update={"timeout_s": 0.01})
    scene = play(says=lambda _: Outcome.INCONCLUSIVE, config=hasty)
    assert scene.run().outcome is Outcome.INCONCLUSIVE
    assert scene.cluster.routed[CANARY] > 0


def test_a_pod_that_will_not_start_aborts(monkeypatch: pytest.MonkeyPatch):
    scene = play()
    refused = RefusedError("pod/x: OOMKilled")
    pursue = Played.pursue

    def refusing(self: Played, aim: object, **more: object) -> str:
        said = pursue(self, aim, **more)  # type: ignore[arg-type]
        if getattr(aim, "weight", 0) == 50:
            raise refused
        return said

    monkeypatch.setattr(Played, "pursue", refusing)
    ended = scene.run()
    assert (ended.outcome, ended.says) == (Outcome.FAIL, "pod/x: OOMKilled")
    assert scene.cluster.canary is None


@pytest.mark.parametrize("weight", [0, 30])
def test_whoever_moves_the_canary_by_helm_is_not_overruled(weight: int):
    scene = play()

    def somebody(at: int) -> Outcome:
        if at == 50:
            tracks = scene.cluster.tracks
            moved = {**tracks, CANARY: {**tracks[CANARY], "weight": weight}}
            moved[STABLE] = {**tracks[STABLE], "weight": 100 - weight}
            moved[CANARY] = park(moved[CANARY]) if not weight else moved[CANARY]
            scene.cluster.write(Write(tracks=moved, says="by hand"))
        return Outcome.INCONCLUSIVE

    scene.eyes.says = somebody
    with pytest.raises(
        HeldError, match=f"somebody else moved the canary: it had 50 %, now it has {weight} %"
    ):
        scene.run()
    assert scene.cluster.tracks[CANARY]["weight"] == weight


def test_a_second_canary_and_one_equal_to_stable_are_refused():
    scene = play(says=lambda weight: Outcome.ERROR if weight == 50 else Outcome.PASS)
    with pytest.raises(InputError, match="what stable runs"):
        scene.run(track(OLD))
    scene.run()
    with pytest.raises(InputError, match=f"a canary runs already: release {NEW} at 50 %"):
        scene.run(track("r-20260115-00000003"))
    assert scene.cluster.routed == {STABLE: 50, CANARY: 50}


def test_a_release_may_be_compared_with_itself_on_demand():
    assert play().run(track(OLD), same_release=True).outcome is Outcome.PASS


def test_a_stable_that_was_undone_by_kubectl_is_not_rolled_forward_by_a_canary():
    scene = play()
    scene.cluster.tracks = {STABLE: track("r-20251201-00000000", weight=100)}
    with pytest.raises(InputError, match=f"stable runs release {OLD}, but the Helm values say r-20251201"):
        scene.run()
