"""From what the cluster has and where it should go, the one next step. Pure.

Every verb is an aim, reached by repeating: look, take the next step. What a killed command has done is seen
at the next look, so whoever goes on later takes the step that it would have taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tonnage.deployment.canary.tracks import (
    CANARY,
    STABLE,
    Track,
    Tracks,
    candidate_beside,
    floor_of,
    floored,
    park,
    part,
    promoted,
    running,
    same,
    weighted,
    whole,
    with_floors_of,
)
from tonnage.errors import NotFoundError
from tonnage.packaging.config import BENTOS

ONE_EACH = dict.fromkeys(BENTOS, 1)


class Goal(StrEnum):
    """Where a verb wants to get."""

    SERVE = "serve"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is to be reached.

    Args:
        goal: of which kind.
        weight: of the canary, per cent; for `serve`.
        candidate: the track to begin with where no canary runs; for `serve`.
        before: stable as it was before its promotion began; None when none began.
    """

    goal: Goal
    weight: int = 0
    candidate: Track | None = None
    before: Track | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSet:
    """The pods of one bento of one track.

    Args:
        wanted: how many there should be.
        ready: how many are ready, of whichever release.
        rolled_out: whether all that should be are there, available, and of the latest template, and no other.
        autoscaled: whether an autoscaler owns the number.
        release: of the latest template.
    """

    wanted: int = 0
    ready: int = 0
    rolled_out: bool = False
    autoscaled: bool = False
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the cluster has.

    Args:
        tracks: the tracks of the Helm release's values.
        sets: by track and bento.
        applied: whether the last upgrade to these values went through.
        routed: whether the Gateway has taken the weights of the values; true where there is no Gateway.
        refuses: why a pod of a track will not start, by track.
        busy: who else is at work on the Helm release; empty when nobody is.
    """

    tracks: Tracks
    sets: Mapping[tuple[str, str], PodSet] = field(default_factory=dict)
    applied: bool = True
    routed: bool = True
    refuses: Mapping[str, str] = field(default_factory=dict)
    busy: str = ""

    def of(self, track: str, bento: str) -> PodSet:
        """The set, or one of no pods."""
        return self.sets.get((track, bento), PodSet())


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """New values for the Helm release.

    Args:
        tracks: all of them.
        says: what that does.
        scale: numbers of pods to set at once, so that nobody waits for an autoscaler to look.
    """

    tracks: Tracks
    says: str
    scale: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """Something takes its time."""

    says: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be reached."""

    says: str


@dataclass(frozen=True, slots=True)
class Done:
    """It is reached."""

    says: str


Step = Write | Wait | Refused | Done


def next_step(aim: Aim, seen: Seen) -> Step:
    """What to do next.

    Raises:
        NotFoundError: the aim is that a canary serves, and there is none.
    """
    if seen.busy:
        return Wait(seen.busy)
    if aim.goal is Goal.ABORT:
        return _abort(aim, seen)
    if not seen.applied:
        return _again(seen)
    return _serve(aim, seen) if aim.goal is Goal.SERVE else _promote(aim, seen)


def _again(seen: Seen) -> Step:
    """Finish an upgrade that did not go through; nobody knows how much of it the cluster has."""
    canary = running(seen.tracks)
    if canary is not None and canary["weight"] and _not_ready(CANARY, ONE_EACH, seen):
        return _abort_traffic(seen.tracks, seen)
    if seen.tracks[STABLE]["weight"] and not seen.of(STABLE, "recommender").ready:
        return Wait("stable has no recommender that is ready")
    return Write(tracks=seen.tracks, says="the last upgrade did not go through; once more")


def _serve(aim: Aim, seen: Seen) -> Step:
    stable, canary = seen.tracks[STABLE], running(seen.tracks)
    if canary is None and aim.candidate is None:
        raise NotFoundError("no canary runs", hint="Begin one with `tonnage canary start`.")
    base = canary or candidate_beside(stable, aim.candidate or {})
    now = base["weight"]
    needs = {bento: part(_whole(seen, bento, base), aim.weight) for bento in BENTOS}
    if (raised := _raised(CANARY, base, needs, seen, fresh=canary is None)) is not None:
        pods = ", ".join(f"{bento} {needs[bento]}" for bento in BENTOS)
        says = f"release {base['release']} as canary at {now} %, pods: {pods}"
        return Write(tracks={**seen.tracks, CANARY: raised}, says=says, scale=_scale(CANARY, needs, seen))
    if refuses := seen.refuses.get(CANARY):
        return Refused(refuses)
    if waits := _not_ready(CANARY, needs, seen):
        return Wait(waits)
    return _move(aim.weight, seen) or Done(f"the canary serves {aim.weight} %")


def _promote(aim: Aim, seen: Seen) -> Step:
    stable, canary = seen.tracks[STABLE], running(seen.tracks)
    if canary is None:
        return Done(f"stable runs release {stable['release']}")
    needs = {bento: _whole(seen, bento, canary) for bento in BENTOS}
    target = promoted(stable, canary)
    raised = _raised(STABLE, target, needs, seen)
    if raised is not None or not same(stable, target):
        if waits := _not_ready(CANARY, ONE_EACH, seen):
            return Wait(waits)
        return Write(
            tracks={**seen.tracks, STABLE: raised or target},
            says=f"stable rolls to release {canary['release']}",
            scale=_scale(STABLE, needs, seen),
        )
    if refuses := seen.refuses.get(STABLE):
        return Refused(refuses)
    if waits := _not_ready(STABLE, needs, seen, rolled_out=True):
        return Wait(waits)
    if step := _move(0, seen):
        return step
    stable = with_floors_of(stable, aim.before) if aim.before else stable
    return Write(tracks={**seen.tracks, STABLE: stable, CANARY: park(canary)}, says="the canary's pods leave")


def _abort(aim: Aim, seen: Seen) -> Step:
    canary = running(seen.tracks)
    if canary is None:
        return _aborted(aim, seen)
    moved = weighted({**seen.tracks, STABLE: aim.before or seen.tracks[STABLE]}, 0)
    if moved != dict(seen.tracks) or not seen.applied:
        return _abort_traffic(moved, seen)
    if not seen.routed:
        return Wait("the Gateway takes the weights")
    return Write(tracks={**seen.tracks, CANARY: park(canary)}, says="the canary's pods leave")


def _aborted(aim: Aim, seen: Seen) -> Step:
    """The end of an abort; a promotion that was under way is rolled back."""
    if not seen.applied:
        return Write(tracks=seen.tracks, says="the last upgrade did not go through; once more")
    if aim.before and (waits := _not_ready(STABLE, ONE_EACH, seen, rolled_out=True)):
        return Wait(waits)
    return Done("no canary runs")


def _abort_traffic(tracks: Tracks, seen: Seen) -> Step:
    """Give stable all traffic, at once if it can take it: what else is not ready there has a fallback."""
    if seen.of(STABLE, "recommender").ready:
        return Write(tracks=weighted(tracks, 0), says="all traffic back to stable")
    stable = seen.tracks[STABLE]
    raised = _raised(STABLE, stable, ONE_EACH, seen)
    if raised is not None:
        return Write(tracks={**seen.tracks, STABLE: raised}, says="stable has no pods; it gets some")
    return Wait("stable has no recommender that is ready")


def _move(weight: int, seen: Seen) -> Step | None:
    """The step that gives the canary so much; None when it has it. Who is to get traffic must be ready."""
    moved = weighted(seen.tracks, weight)
    for name in (STABLE, CANARY):
        if moved[name]["weight"] and (waits := _not_ready(name, ONE_EACH, seen)):
            return Wait(waits)
    if moved != dict(seen.tracks):
        return Write(tracks=moved, says=f"weights: stable {100 - weight}, canary {weight}")
    return None if seen.routed else Wait("the Gateway takes the weights")


def _whole(seen: Seen, bento: str, canary: Track) -> int:
    """What the whole traffic needs; pods that were asked for before a step say nothing of it."""
    of = seen.of(CANARY, bento)
    grown = of.autoscaled and of.wanted > floor_of(canary, bento)
    return whole(seen.of(STABLE, bento).wanted, of.wanted if grown else 0, canary["weight"])


def _raised(
    name: str, track: Track, needs: Mapping[str, int], seen: Seen, *, fresh: bool = False
) -> Track | None:
    """The track with room for so many pods; None when it has it already."""
    short = {
        bento: need for bento, need in needs.items() if need > (0 if fresh else seen.of(name, bento).wanted)
    }
    # A canary is scaled as stable is; its own autoscaler is not there before its pods are.
    scaled = {bento: seen.of(STABLE, bento) for bento in short}
    floors = {bento: short[bento] for bento, of in scaled.items() if of.autoscaled and short[bento] > 1}
    pinned = {bento: short[bento] for bento, of in scaled.items() if not of.autoscaled}
    raised = floored(track, floors, pinned)
    return raised if fresh or raised != dict(track) else None


def _scale(name: str, needs: Mapping[str, int], seen: Seen) -> dict[tuple[str, str], int]:
    """What `kubectl scale` should say where an autoscaler would say so a little later."""
    return {
        (name, bento): need
        for bento, need in needs.items()
        if seen.of(STABLE, bento).autoscaled and need > max(1, seen.of(name, bento).wanted)
    }


def _not_ready(name: str, needs: Mapping[str, int], seen: Seen, *, rolled_out: bool = False) -> str:
    """Whose pods are awaited; empty when nobody's are."""
    lines = [
        f"{bento} {of.ready}/{max(need, of.wanted)}"
        for bento, need in needs.items()
        if (of := seen.of(name, bento)).ready < need or (rolled_out and not of.rolled_out)
    ]
    return f"{name}: {', '.join(lines)} ready" if lines else ""
