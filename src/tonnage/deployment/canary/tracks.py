"""The Helm values of the tracks, and what each verb makes of them. Pure."""

from collections.abc import Mapping
from copy import deepcopy
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from tonnage.errors import InputError, NotFoundError
from tonnage.packaging.config import BENTOS

STABLE, CANARY = "stable", "canary"

Track = Mapping[str, Any]
"""One track as the chart's values have it: release, weight, images, perhaps replicas, mirror, overrides."""

Tracks = Mapping[str, Track]
"""All tracks by name."""

OF_THE_TRACK = ("weight", "replicas", "mirror", "mirrorPercent", "previousRelease")
"""What belongs to a track and not to what runs in it, so that no promotion copies it."""


def read_candidate(file: Path) -> dict[str, Any]:
    """The release in a values file, as `tonnage package` writes it: its track `canary`, or its only one.

    Raises:
        NotFoundError: there is no such file.
        InputError: it holds no release, or lacks one of its images.
    """
    hint = "Give it the values file that `tonnage package` wrote."
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError("there is no such values file", hint=hint, file=file) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"not a Helm values file: {error}", hint=hint, file=file) from error
    tracks = content.get("tracks") if isinstance(content, dict) else None
    if not isinstance(tracks, dict) or not tracks:
        raise InputError("the file has no `tracks`", hint=hint, file=file)
    name = CANARY if CANARY in tracks else next(iter(tracks))
    if name != CANARY and len(tracks) > 1:
        raise InputError("which of the tracks is the canary?", hint="Leave one in the file.", file=file)
    track = tracks[name]
    if problem := _problem(track):
        raise InputError(f"track {name}: {problem}", hint=hint, file=file)
    return {key: value for key, value in track.items() if key not in OF_THE_TRACK}


def _problem(track: object) -> str:
    """What keeps a track from being one; empty when nothing does."""
    if not isinstance(track, dict) or not isinstance(track.get("release"), str):
        return "it names no release"
    images = track.get("images")
    images = images if isinstance(images, dict) else {}
    for bento in BENTOS:
        image = images.get(bento)
        if not isinstance(image, dict) or not image.get("repository"):
            return f"it has no image of the {bento}"
        if not image.get("digest") and not image.get("tag"):
            return f"the image of the {bento} has neither digest nor tag"
    return ""


def parked(track: Track) -> bool:
    """Whether nothing of a track runs, and nothing should."""
    replicas = track.get("replicas") or {}
    return not track.get("weight") and all(replicas.get(bento) == 0 for bento in BENTOS)


def running(tracks: Tracks) -> Track | None:
    """The canary; None when there is none, or only the parked one of last time."""
    canary = tracks.get(CANARY)
    return None if canary is None or parked(canary) else canary


def same(one: Track, other: Track) -> bool:
    """Whether two tracks run the same, their numbers of pods aside."""
    return _what_runs(one) == _what_runs(other)


def _what_runs(track: Track) -> dict[str, Any]:
    bare = {key: deepcopy(value) for key, value in track.items() if key not in OF_THE_TRACK}
    return _without_floors(bare, {})


def check_weights(tracks: Tracks) -> None:
    """Demand that stable and canary have all the traffic.

    Raises:
        InputError: they do not add up to 100; the message has every weight.
    """
    if sum(tracks.get(name, {}).get("weight", 0) for name in (STABLE, CANARY)) == 100:
        others = {name for name, track in tracks.items() if track.get("weight")} - {STABLE, CANARY}
        if not others:
            return
    weights = ", ".join(f"{name} {track.get('weight', 0)}" for name, track in tracks.items())
    raise InputError(
        f"the weights of stable and canary must add up to 100, other tracks 0; they are {weights}",
        hint="Set them right with `helm upgrade --reset-then-reuse-values --set tracks.stable.weight=...`.",
    )


def weighted(tracks: Tracks, weight: int) -> dict[str, Track]:
    """The tracks with so much for the canary and the rest for stable; who gets traffic is no mirror."""
    fresh = dict(tracks)
    for name, share in ((STABLE, 100 - weight), (CANARY, weight)):
        track = {**tracks[name], "weight": share}
        if share:
            track.pop("mirror", None)
            track.pop("mirrorPercent", None)
        fresh[name] = track
    return fresh


def candidate_beside(stable: Track, candidate: Track) -> dict[str, Any]:
    """A canary without traffic; where its file has no overrides, those of stable are its own too."""
    inherited = {"overrides": deepcopy(stable["overrides"])} if stable.get("overrides") else {}
    return {**inherited, **deepcopy(dict(candidate)), "weight": 0}


def promoted(stable: Track, canary: Track) -> dict[str, Any]:
    """Stable with everything that the canary runs; floors stay stable's own."""
    own = {key: value for key, value in stable.items() if key in OF_THE_TRACK}
    if "previousRelease" in own and stable["release"] != canary["release"]:
        own["previousRelease"] = stable["release"]
    copied = {key: deepcopy(value) for key, value in canary.items() if key not in OF_THE_TRACK}
    return {**_without_floors(copied, _floors(stable)), **own}


def park(track: Track) -> dict[str, Any]:
    """The track without a pod; what it ran stays written down."""
    kept = {key: value for key, value in track.items() if key not in {"mirror", "mirrorPercent"}}
    bare = _without_floors(deepcopy(kept), {})
    return {**bare, "weight": 0, "replicas": dict.fromkeys(BENTOS, 0)}


def floored(track: Track, floors: Mapping[str, int], pinned: Mapping[str, int]) -> dict[str, Any]:
    """The track with at least so many pods.

    Args:
        track: as it is.
        floors: by bento, where an autoscaler owns the number: it never goes below.
        pinned: by bento, where nobody does: the number.
    """
    fresh = deepcopy(dict(track))
    for bento, floor in floors.items():
        overrides = fresh.setdefault("overrides", {}).setdefault(bento, {})
        scaling = overrides.setdefault("autoscaling", {})
        scaling["minReplicas"] = max(floor, scaling.get("minReplicas", 0))
    if pinned:
        fresh["replicas"] = {**(fresh.get("replicas") or {}), **pinned}
    return fresh


def with_floors_of(track: Track, before: Track) -> dict[str, Any]:
    """The track with the least numbers of pods that it had before."""
    return _without_floors(deepcopy(dict(track)), _floors(before))


def floor_of(track: Track, bento: str) -> int:
    """The least number of pods that a track asks of an autoscaler."""
    return max(1, _floors(track).get(bento, 1))


def _floors(track: Track) -> dict[str, int]:
    overrides = track.get("overrides") or {}
    found = {bento: (of.get("autoscaling") or {}).get("minReplicas") for bento, of in overrides.items()}
    return {bento: floor for bento, floor in found.items() if floor is not None}


def _without_floors(track: dict[str, Any], floors: Mapping[str, int]) -> dict[str, Any]:
    """The track with these least numbers of pods in place of its own; what is left empty goes."""
    overrides = track.pop("overrides", None) or {}
    for bento, of in overrides.items():
        scaling = {key: value for key, value in (of.get("autoscaling") or {}).items() if key != "minReplicas"}
        of.pop("autoscaling", None)
        if scaling:
            overrides[bento] = {**of, "autoscaling": scaling}
    overrides = {bento: of for bento, of in overrides.items() if of}
    if overrides:
        track["overrides"] = overrides
    return floored(track, floors, {})


def whole(stable: int, canary: int, weight: int) -> int:
    """About how many pods the whole traffic needs, from how many each track has.

    Stable keeps what it had when it carried everything, so that is enough, unless an autoscaler gave the
    canary more than its share of it: then there is more traffic now.
    """
    if not weight or canary <= part(stable, weight):
        return max(stable, 1)
    return min(stable + canary, ceil(canary * 100 / weight))


def part(pods: int, weight: int) -> int:
    """How many of the pods that carry everything a share of the traffic needs; one at least."""
    return max(1, ceil(pods * weight / 100))
