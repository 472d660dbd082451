"""What a person does with a canary: start, step, promote, abort it. Each holds the Lease meanwhile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from tonnage.deployment.canary.decision import step_after
from tonnage.deployment.canary.lease import State
from tonnage.deployment.canary.plan import Aim, Goal, Seen
from tonnage.deployment.canary.rollout import Look, Rollout
from tonnage.deployment.canary.steps import Steps
from tonnage.deployment.canary.tracks import STABLE, Track, check_weights, running, same
from tonnage.errors import ClusterError, InputError, NotFoundError

PROMOTED, ABORTED = "promoted", "aborted"


@contextmanager
def held(rollout: Rollout, *, force: bool = False) -> Iterator[Look]:
    """A look at the Helm release, and the hold of its canary while inside.

    Raises:
        HeldError: another operator has it, and lives.
        NotFoundError: there is no such Helm release.
        ClusterError: the cluster does not answer.
    """
    look = rollout.look()
    taken = rollout.lease.acquire(force=force)
    if taken:
        rollout.progress.say(f"taken over from {taken}")
        look = rollout.look()
    try:
        yield look
    finally:
        # Whoever took it over keeps it, and where the cluster is away it expires.
        with suppress(ClusterError):
            rollout.lease.release()


def start(rollout: Rollout, candidate: Track, *, weight: int, same_release: bool = False) -> str:
    """Bring the canary's pods up, then give it its first users; what was reached, in words.

    Args:
        rollout: where.
        candidate: the track to run.
        weight: per cent; 0 brings up the pods only.
        same_release: allow a canary that runs what stable runs.

    Raises:
        InputError: it is what stable runs, another canary runs already, or the weights are not in order.
        RefusedError: a pod of it will not start; no user has met it.
        ClusterError: see `Rollout.pursue`.
    """
    with held(rollout) as look:
        aim = beginning(rollout, look.seen, candidate, weight=weight, same_release=same_release)
        return rollout.pursue(aim, seen=look)


def beginning(
    rollout: Rollout, seen: Seen, candidate: Track, *, weight: int, same_release: bool = False
) -> Aim:
    """Check that a canary may begin, and remember that it does; one that was begun goes on from where it is.

    Raises:
        InputError: see `start`.
        ClusterError: the cluster does not answer.
    """
    check_weights(seen.tracks)
    canary, state = running(seen.tracks), rollout.lease.state
    if canary is not None:
        _demand_same(canary, candidate, state)
        _demand_none_under_way(state)
        return Aim(goal=Goal.SERVE, weight=max(weight, canary["weight"]))
    if same(candidate, seen.tracks[STABLE]) and not same_release:
        raise InputError(
            f"the canary would be what stable runs, release {candidate['release']}",
            hint="Give another release's values, or --same to compare a release with itself.",
        )
    _demand_as_written(seen)
    if not seen.applied and not seen.busy:
        raise InputError(
            f"the last `helm upgrade` of {rollout.config.name} failed",
            hint="Repair it, or go back with `helm rollback`, before a canary begins.",
        )
    fresh = State(release=candidate["release"])
    rollout.lease.renew(**asdict(fresh))
    return Aim(goal=Goal.SERVE, weight=weight, candidate=candidate)


def step(rollout: Rollout, weight: int | None, config: Steps) -> str:
    """Give the canary its next share, or this one; what was reached, in words.

    Raises:
        NotFoundError: no canary runs.
        InputError: there is no further step, or its promotion or abort is under way.
        ClusterError: see `Rollout.pursue`.
    """
    with held(rollout) as look:
        canary = _demand_canary(look.seen)
        check_weights(look.seen.tracks)
        _demand_none_under_way(rollout.lease.state)
        chosen = weight if weight is not None else step_after(canary["weight"], config)
        if chosen is None:
            raise InputError(
                f"the canary serves {canary['weight']} %, and there is no step after that",
                hint="Promote it, or name a share.",
            )
        return rollout.pursue(Aim(goal=Goal.SERVE, weight=chosen), seen=look)


def promote(rollout: Rollout) -> str:
    """Make stable what the canary is, then park the canary; what was reached, in words.

    Raises:
        NotFoundError: no canary runs.
        ClusterError: see `Rollout.pursue`.
    """
    with held(rollout) as look:
        _demand_canary(look.seen)
        return promoting(rollout, look)


def promoting(rollout: Rollout, look: Look) -> str:
    """Promote, with the Lease held.

    Raises:
        ClusterError: see `Rollout.pursue`.
    """
    state = rollout.lease.state
    if state.under_way is not Goal.PROMOTE:
        before = json.dumps(look.seen.tracks[STABLE], separators=(",", ":"))
        rollout.lease.remember(goal=Goal.PROMOTE, before=before, ended="")
    before_promotion = rollout.lease.state.before_promotion
    said = rollout.pursue(Aim(goal=Goal.PROMOTE, before=before_promotion), seen=look)
    rollout.lease.renew(ended=PROMOTED, before="")
    return said


def abort(rollout: Rollout) -> str:
    """Give stable all traffic back, then park the canary; what was reached, in words.

    It takes the canary from whoever holds it. A promotion that is under way is rolled back.

    Raises:
        ClusterError: see `Rollout.pursue`.
    """
    with held(rollout, force=True) as look:
        if running(look.seen.tracks) is None and look.seen.applied:
            return "no canary runs"
        aborting(rollout, look)
        return "all traffic is back on stable"


def aborting(rollout: Rollout, look: Look | None = None, **remembered: str) -> None:
    """Abort, with the Lease held.

    Args:
        rollout: where.
        look: one that was just taken.
        remembered: why, for the Lease.

    Raises:
        ClusterError: see `Rollout.pursue`.
    """
    rollout.lease.remember(goal=Goal.ABORT, ended="", **remembered)
    rollout.pursue(Aim(goal=Goal.ABORT, before=rollout.lease.state.before_promotion), seen=look)
    rollout.lease.renew(ended=ABORTED, before="")


def _demand_canary(seen: Seen) -> Track:
    canary = running(seen.tracks)
    if canary is None:
        raise NotFoundError("no canary runs", hint="Begin one with `tonnage canary start`.")
    return canary


def _demand_same(canary: Track, candidate: Track, state: State) -> None:
    """Refuse a second canary.

    Raises:
        InputError: another one runs.
    """
    # A candidate without overrides takes stable's, which may have changed: the images are what counts.
    if any(canary.get(key) != candidate.get(key) for key in ("release", "images")):
        since = f" since {state.since}" if state.since else ""
        raise InputError(
            f"a canary runs already: release {canary['release']} at {canary['weight']} %{since}",
            hint="Promote or abort it first.",
        )


def _demand_as_written(seen: Seen) -> None:
    """Refuse to upgrade a stable that `kubectl rollout undo` put back: that would roll it forward again.

    Raises:
        InputError: its pods are of another release than the Helm values say.
    """
    written = seen.tracks[STABLE]["release"]
    runs = {of.release for (track, _), of in seen.sets.items() if track == STABLE} - {written}
    if runs:
        raise InputError(
            f"stable runs release {', '.join(sorted(runs))}, but the Helm values say {written}",
            hint="Tell Helm as well, with `helm rollback`, before a canary begins.",
        )


def _demand_none_under_way(state: State) -> None:
    if state.under_way is not None:
        raise InputError(
            f"the canary's {state.under_way} is under way",
            hint=f"Finish it with `tonnage canary {state.under_way}`, or abort.",
        )
