"""Who is champion follows from the log alone, whatever order people and processes wrote in."""

from datetime import UTC, datetime
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from tonnage.domain import ReleaseId
from tonnage.releases.promotions import Entry, aliases, champions, in_force

A, B, C = (ReleaseId(f"r-20250101-{letter * 8}") for letter in "abc")
VERSIONS = {A: 1, B: 2, C: 3}


def entry(
    number: int,
    release: ReleaseId,
    *,
    after: int | None = None,
    action: Literal["promote", "rollback"] = "promote",
) -> Entry:
    based_on = number - 1 if after is None else after
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return Entry(number=number, based_on=based_on, action=action, release=release, at=at, by="me", reason="")


def test_before_the_first_promotion_there_is_no_champion():
    assert champions([]) == []


def test_of_two_promotions_at_once_the_first_one_holds():
    """Were both to believe that they had won, two teams would serve two champions."""
    assert champions([entry(1, A, after=0), entry(2, B, after=0)]) == [A]


def test_after_a_lost_race_the_next_promotion_builds_on_the_winner():
    log = [entry(1, A, after=0), entry(2, B, after=0), entry(3, C, after=1)]
    assert champions(log) == [A, C]


def test_rolling_back_twice_walks_back_twice():
    """Rolling back again must not return to the release that was just found bad."""
    log = [entry(1, A), entry(2, B), entry(3, C)]
    back = [*log, entry(4, B, action="rollback")]
    assert champions(back)[-1] == B
    assert champions([*back, entry(5, A, action="rollback")])[-1] == A


def test_two_rollbacks_at_once_walk_back_once():
    """Two people who press the same button mean the same thing."""
    log = [entry(1, A), entry(2, B), entry(3, C)]
    both = [*log, entry(4, B, after=3, action="rollback"), entry(5, B, after=3, action="rollback")]
    assert champions(both)[-1] == B


def test_the_newest_accepted_release_challenges():
    assert aliases([entry(1, A)], VERSIONS, [A, B])["challenger"] == B


def test_a_rejected_release_does_not_challenge():
    assert aliases([entry(1, A)], VERSIONS, [A])["challenger"] is None


def test_a_release_that_was_rolled_back_does_not_challenge_again():
    log = [entry(1, A), entry(2, B), entry(3, A, action="rollback")]
    assert aliases(log, {A: 1, B: 2}, [A, B]) == {"champion": A, "previous": None, "challenger": None}
    assert aliases(log, VERSIONS, [A, B, C])["challenger"] == C


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([A, B, C])), max_size=12), st.randoms())
def test_the_order_of_reading_does_not_matter_and_the_chain_is_unbroken(
    written: list[tuple[int, ReleaseId]], random: object
):
    """Registries answer searches in any order, and any set of lost races may lie in the log."""
    log = [entry(number, release, after=after) for number, (after, release) in enumerate(written, start=1)]
    shuffled = list(log)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    held = in_force(shuffled)
    assert held == in_force(log)
    assert [each.based_on for each in held] == [0, *(each.number for each in held)][: len(held)]
