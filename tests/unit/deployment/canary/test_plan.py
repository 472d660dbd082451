"""Whatever happens in the cluster, and whoever is killed when: no user meets a track without pods."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.factories.tracks import NEW, OLD, Cluster, track

from tonnage.deployment.canary.plan import Aim, Done, Goal, Refused, Wait, Write, next_step
from tonnage.deployment.canary.tracks import CANARY, STABLE, parked
from tonnage.errors import NotFoundError
from tonnage.packaging.config import BENTOS

WEIGHTS = st.integers(0, 100)


def start(weight: int = 10) -> Aim:
    return Aim(goal=Goal.SERVE, weight=weight, candidate=track(NEW))


def begun(cluster: Cluster, weight: int) -> Cluster:
    assert isinstance(cluster.reached(start(weight)), Done)
    return cluster


@settings(max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[*HealthCheck])
class AnyRollout(RuleBasedStateMachine):
    """Operators who change their mind, upgrades that fail, pods that come and go, a Gateway that is late."""

    @initialize(pods=st.integers(1, 7), autoscaled=st.booleans())
    def a_shop_serves(self, pods: int, autoscaled: bool) -> None:
        self.cluster = Cluster.serving(track(OLD, weight=100), pods=pods, autoscaled=autoscaled)
        self.pods = pods
        self.before: dict[str, Any] | None = None
        self.aim = start()

    @rule(weight=WEIGHTS)
    def somebody_wants_a_share(self, weight: int) -> None:
        self.aim = Aim(goal=Goal.SERVE, weight=weight, candidate=track(NEW))
        self.before = None

    @precondition(lambda self: self.cluster.canary is not None)
    @rule()
    def somebody_promotes(self) -> None:
        self.before = self.before or dict(self.cluster.tracks[STABLE])
        self.aim = Aim(goal=Goal.PROMOTE, before=self.before)

    @precondition(lambda self: self.cluster.canary is not None)
    @rule()
    def somebody_aborts(self) -> None:
        self.aim = Aim(goal=Goal.ABORT, before=self.before)

    @rule(
        fails=st.sampled_from([None, None, None, None, "before the route", "after it"]),
        ready=st.booleans(),
        looks=st.booleans(),
    )
    def a_step_is_taken(self, fails: str | None, ready: bool, looks: bool) -> None:
        if ready:
            self.cluster.pods_get_ready()
        if looks:
            self.cluster.gateway_looks()
        seen = self.cluster.seen()
        step = next_step(self.aim, seen)
        if not isinstance(step, Write):
            return
        for name, of in step.tracks.items():
            if of["weight"] > self.cluster.route.get(name, 0):
                assert seen.of(name, "recommender").ready, f"{step.says}: {name} has no recommender"
            replicas = (of.get("replicas") or {}).values()
            assert not of["weight"] or 0 not in replicas, f"{step.says}: users, and no pods"
            if parked(of) and not parked(seen.tracks[name]):
                assert not self.cluster.routed.get(name), f"{step.says}: the Gateway still sends users there"
        if fails:
            self.cluster.write_fails(step, after_route=fails == "after it")
        else:
            self.cluster.write(step)

    @rule(name=st.sampled_from([STABLE, CANARY]))
    def pods_die(self, name: str) -> None:
        self.cluster.pods_die(name)

    @invariant()
    def weights_add_up(self) -> None:
        if hasattr(self, "cluster"):
            assert sum(of["weight"] for of in self.cluster.tracks.values()) == 100

    @invariant()
    def stable_keeps_its_pods(self) -> None:
        """Whoever aborts sends everybody back to it at once."""
        if hasattr(self, "cluster"):
            assert all(self.cluster.sets[STABLE, bento].wanted >= self.pods for bento in BENTOS)

    @invariant()
    def a_canary_has_no_more_pods_than_everybody_needs(self) -> None:
        """What was raised for one step is no reason to raise the next."""
        if hasattr(self, "cluster"):
            assert all(self.cluster.seen().of(CANARY, bento).wanted <= self.pods for bento in BENTOS)

    def teardown(self) -> None:
        """From wherever it is, an abort ends with everybody on stable, as it was before a promotion."""
        if not hasattr(self, "cluster"):
            return
        before = self.before if self.cluster.canary is not None else None
        aim = Aim(goal=Goal.ABORT, before=before)
        assert isinstance(self.cluster.reached(aim), Done)
        assert self.cluster.canary is None
        assert self.cluster.tracks[STABLE]["weight"] == 100
        assert self.cluster.applied
        if before is not None:
            assert self.cluster.tracks[STABLE]["release"] == before["release"]
        assert isinstance(next_step(aim, self.cluster.seen()), Done)


test_any_rollout = AnyRollout.TestCase


@pytest.mark.parametrize("weight", [0, 1, 25, 100])
@pytest.mark.parametrize("autoscaled", [True, False])
def test_a_canary_that_begins_at_any_share_can_be_promoted(weight: int, autoscaled: bool):
    cluster = begun(Cluster.serving(track(OLD, weight=100), pods=3, autoscaled=autoscaled), weight)
    assert cluster.routed == {STABLE: 100 - weight, CANARY: weight}
    before = cluster.tracks[STABLE]
    aim = Aim(goal=Goal.PROMOTE, before=before)
    assert isinstance(cluster.reached(aim), Done)
    assert (cluster.tracks[STABLE]["release"], cluster.tracks[STABLE]["weight"]) == (NEW, 100)
    assert parked(cluster.tracks[CANARY])
    assert "overrides" not in cluster.tracks[STABLE], "what was raised for the promotion stays raised"


@pytest.mark.parametrize(("weight", "pods"), [(1, 1), (10, 1), (25, 2), (50, 3), (51, 4), (100, 6)])
@pytest.mark.parametrize("autoscaled", [True, False])
def test_a_canary_has_the_pods_that_its_share_needs_before_it_gets_it(
    weight: int, pods: int, autoscaled: bool
):
    cluster = Cluster.serving(track(OLD, weight=100), pods=6, autoscaled=autoscaled)
    step = next_step(start(weight), cluster.seen())
    assert isinstance(step, Write)
    assert step.tracks[CANARY]["weight"] == 0
    cluster.write(step)
    assert {cluster.sets[CANARY, bento].wanted for bento in BENTOS} == {pods}
    assert isinstance(next_step(start(weight), cluster.seen()), Wait)


def test_stable_gets_more_pods_for_a_promotion_when_the_canarys_traffic_has_grown():
    """The autoscaler gave the canary four pods for half of the users: all of them need eight."""
    cluster = begun(Cluster.serving(track(OLD, weight=100), pods=2), 50)
    four = dict.fromkeys(BENTOS, 4)
    cluster.write(
        Write(
            tracks=cluster.tracks,
            says="the autoscaler",
            scale={(CANARY, each): n for each, n in four.items()},
        )
    )
    cluster.pods_get_ready()
    step = next_step(Aim(goal=Goal.PROMOTE, before=cluster.tracks[STABLE]), cluster.seen())
    assert isinstance(step, Write)
    assert step.scale == {(STABLE, bento): 6 for bento in BENTOS}, "never more than both have"
    assert step.tracks[STABLE]["overrides"]["ranker"] == {"autoscaling": {"minReplicas": 6}}


def test_pods_that_were_asked_for_a_step_do_not_count_for_a_promotion():
    """A step to 51 % that was given up for a promotion: the canary has its pods, and not the users."""
    cluster = begun(Cluster.serving(track(OLD, weight=100), pods=2, autoscaled=False), 10)
    step = next_step(start(51), cluster.seen())
    assert isinstance(step, Write)
    cluster.write(step)
    cluster.pods_get_ready()
    step = next_step(Aim(goal=Goal.PROMOTE, before=cluster.tracks[STABLE]), cluster.seen())
    assert isinstance(step, Write)
    cluster.write(step)
    assert {cluster.sets[STABLE, bento].wanted for bento in BENTOS} == {2}


def test_every_step_has_its_pods_once():
    cluster = Cluster.serving(track(OLD, weight=100), pods=4)
    for weight, pods in ((10, 1), (50, 2), (75, 3), (100, 4), (25, 4)):
        begun(cluster, weight)
        assert {cluster.sets[CANARY, bento].wanted for bento in BENTOS} == {pods}


def test_a_step_counts_the_pods_that_the_autoscaler_gave_the_canary():
    """Three for a tenth of the users: there are more of them than when stable had everybody."""
    cluster = begun(Cluster.serving(track(OLD, weight=100), pods=4), 10)
    scale = {(CANARY, bento): 3 for bento in BENTOS}
    cluster.write(Write(tracks=cluster.tracks, says="the autoscaler", scale=scale))
    cluster.pods_get_ready()
    begun(cluster, 100)
    assert {cluster.sets[CANARY, bento].wanted for bento in BENTOS} == {7}


def test_a_pod_that_refuses_ends_the_start_before_anybody_meets_it():
    cluster = Cluster.serving(track(OLD, weight=100))
    step = next_step(start(), cluster.seen())
    assert isinstance(step, Write)
    cluster.write(step)
    seen = cluster.seen()
    refused = type(seen)(
        tracks=seen.tracks, sets=seen.sets, routed=seen.routed, refuses={CANARY: "pod/x: OOMKilled"}
    )
    assert next_step(start(), refused) == Refused("pod/x: OOMKilled")


def test_an_abort_gives_the_users_back_before_anything_else():
    """Also where nothing of the canary, and only the recommender of stable, is ready."""
    cluster = begun(Cluster.serving(track(OLD, weight=100)), 50)
    cluster.pods_die(CANARY)
    step = next_step(Aim(goal=Goal.ABORT), cluster.seen())
    assert isinstance(step, Write)
    assert {name: of["weight"] for name, of in step.tracks.items()} == {STABLE: 100, CANARY: 0}
    assert not parked(step.tracks[CANARY])


def test_users_stay_with_the_canary_while_stable_is_dead():
    cluster = begun(Cluster.serving(track(OLD, weight=100)), 50)
    cluster.pods_die(STABLE)
    for aim in (Aim(goal=Goal.SERVE, weight=10), Aim(goal=Goal.ABORT)):
        assert isinstance(next_step(aim, cluster.seen()), Wait)


def test_who_gets_users_no_longer_gets_a_copy_of_the_traffic():
    cluster = Cluster.serving(track(OLD, weight=100))
    mirrored = {**track(NEW), "mirror": True}
    assert isinstance(cluster.reached(Aim(goal=Goal.SERVE, weight=0, candidate=mirrored)), Done)
    assert cluster.tracks[CANARY]["mirror"]
    cluster.reached(Aim(goal=Goal.SERVE, weight=5))
    assert "mirror" not in cluster.tracks[CANARY]


def test_a_step_without_a_canary_says_so():
    seen = Cluster.serving(track(OLD, weight=100)).seen()
    with pytest.raises(NotFoundError, match="no canary runs"):
        next_step(Aim(goal=Goal.SERVE, weight=5), seen)


def test_a_second_look_at_what_is_reached_changes_nothing():
    for weight in (0, 5, 100):
        cluster = begun(Cluster.serving(track(OLD, weight=100), pods=3), weight)
        assert isinstance(next_step(start(weight), cluster.seen()), Done)
