"""What each verb makes of the values of the tracks."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories.tracks import NEW, OLD, track

from tonnage.deployment.canary import tracks as tracks_
from tonnage.deployment.canary.tracks import (
    CANARY,
    STABLE,
    candidate_beside,
    check_weights,
    floored,
    park,
    parked,
    part,
    promoted,
    read_candidate,
    running,
    same,
    weighted,
    whole,
    with_floors_of,
)
from tonnage.errors import InputError, NotFoundError

LIMITS = {"ranker": {"resources": {"limits": {"memory": "1Gi"}}}}


def values(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def without_image(bento: str, **image: object) -> dict[str, Any]:
    broken = track(NEW)
    broken["images"][bento] = image
    return {"tracks": {"stable": broken}}


@pytest.mark.parametrize("content", [{STABLE: track(NEW, weight=100)}, {CANARY: track(NEW, weight=0)}])
def test_what_was_packaged_is_read_for_whichever_track(content: dict[str, Any], tmp_path: Path):
    assert read_candidate(values(tmp_path, {"tracks": content})) == track(NEW)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a text", "no `tracks`"),
        ({"tracks": {}}, "no `tracks`"),
        ({"tracks": {"stable": {"weight": 100}}}, "names no release"),
        ({"tracks": {"blue": track(NEW), "green": track(OLD)}}, "which of the tracks"),
        (without_image("ranker"), "no image of the ranker"),
        (without_image("ranker", repository="shop/ranker"), "ranker has neither digest nor tag"),
    ],
)
def test_a_file_without_a_release_is_refused_in_words(content: object, says: str, tmp_path: Path):
    with pytest.raises(InputError, match=says):
        read_candidate(values(tmp_path, content))


def test_a_file_that_is_not_there_or_not_yaml_is_named(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"r-20260101-00000001.*tonnage package"):
        read_candidate(tmp_path / OLD)
    (tmp_path / "broken.yaml").write_text("tracks: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"broken\.yaml"):
        read_candidate(tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    "wrong",
    [
        {STABLE: track(OLD, weight=90)},
        {STABLE: track(OLD, weight=90), CANARY: track(NEW, weight=20)},
        {STABLE: track(OLD, weight=100), "blue": track(NEW, weight=1)},
    ],
)
def test_weights_that_do_not_add_up_are_named(wrong: dict[str, Any]):
    with pytest.raises(InputError, match=r"must add up to 100.*stable \d+"):
        check_weights(wrong)
    check_weights(
        {STABLE: track(OLD, weight=80), CANARY: track(NEW, weight=20), "blue": track(NEW, weight=0)}
    )


@settings(deadline=None)
@given(weight=st.integers(0, 100), others=st.integers(0, 3))
def test_weights_always_add_up_and_other_tracks_are_left_alone(weight: int, others: int):
    more = {f"blue-{number}": track(NEW, weight=0) for number in range(others)}
    moved = weighted({STABLE: track(OLD, weight=7), CANARY: track(NEW, weight=1), **more}, weight)
    check_weights(moved)
    assert moved[CANARY]["weight"] == weight
    assert {name: moved[name] for name in more} == more


def test_a_promotion_takes_everything_that_runs_and_nothing_that_is_the_tracks():
    stable = track(OLD, weight=40, replicas={"ranker": 3}, previousRelease="r-1")
    canary = track(NEW, weight=60, replicas={"ranker": 1}, mirrorPercent=5, overrides=LIMITS)
    after = promoted(stable, canary)
    assert (after["release"], after["images"], after["overrides"]) == (NEW, canary["images"], LIMITS)
    assert (after["weight"], after["replicas"], after["previousRelease"]) == (40, {"ranker": 3}, OLD)
    assert "mirrorPercent" not in after
    assert same(after, canary)
    assert not same(stable, canary)


def test_how_many_pods_a_track_has_is_no_difference_and_its_limits_are():
    raised = floored(track(OLD), {"ranker": 4}, {})
    assert raised["overrides"] == {"ranker": {"autoscaling": {"minReplicas": 4}}}
    assert same(raised, track(OLD, replicas={"ranker": 2}))
    assert not same(track(OLD), track(OLD, overrides=LIMITS))


def test_floors_that_a_promotion_raised_go_back_to_what_they_were():
    before = track(OLD, overrides={"ranker": {"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}})
    after = floored(promoted(before, track(NEW, overrides=LIMITS)), {"ranker": 6, "retriever": 3}, {})
    kept = {"ranker": {**LIMITS["ranker"], "autoscaling": {"minReplicas": 2}}}
    assert with_floors_of(after, before)["overrides"] == kept


def test_a_parked_canary_is_none_and_keeps_what_it_ran():
    canary = floored(track(NEW, weight=0, mirror=True, overrides=LIMITS), {"recommender": 3}, {})
    left = park(canary)
    assert parked(left)
    assert running({STABLE: track(OLD, weight=100), CANARY: left}) is None
    assert (left["release"], left["overrides"]) == (NEW, LIMITS)
    assert "mirror" not in left
    assert not parked(canary), "a canary without users may have pods"


def test_a_canary_whose_file_says_nothing_of_limits_has_stables():
    stable = track(OLD, weight=100, overrides=LIMITS)
    assert candidate_beside(stable, track(NEW))["overrides"] == LIMITS
    own = {"ranker": {"workers": 2}}
    assert candidate_beside(stable, track(NEW, overrides=own))["overrides"] == own


@settings(deadline=None)
@given(stable=st.integers(0, 50), canary=st.integers(0, 50), weight=st.integers(0, 100))
def test_the_pods_for_everything_are_never_fewer_than_stable_kept_nor_more_than_there_are(
    stable: int, canary: int, weight: int
):
    needed = whole(stable, canary, weight)
    assert max(1, stable if canary <= part(stable, weight) else 0) <= needed <= max(1, stable + canary)
    assert 1 <= part(needed, weight) <= needed


def test_nothing_changes_what_it_was_given():
    """The values of the look are compared with those of the next step."""
    stable, canary = track(OLD, weight=90, overrides=LIMITS), track(NEW, weight=10, overrides=LIMITS)
    for change in (park, lambda each: floored(each, {"ranker": 2}, {"ranker": 3})):
        change(canary)
    promoted(stable, canary)
    weighted({STABLE: stable, CANARY: canary}, 50)
    tracks_.with_floors_of(canary, stable)
    assert (stable, canary) == (
        track(OLD, weight=90, overrides=LIMITS),
        track(NEW, weight=10, overrides=LIMITS),
    )
    assert LIMITS == {"ranker": {"resources": {"limits": {"memory": "1Gi"}}}}
