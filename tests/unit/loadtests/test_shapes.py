"""How many people there are while a test goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapes import BASE, SHAPES, people

LENGTHS = st.floats(1, 1e5)
USERS = st.integers(1, 5000)


@given(st.sampled_from(sorted(SHAPES)), USERS, LENGTHS, st.floats(0, 1, exclude_max=True))
def test_there_is_somebody_and_never_more_than_everybody(
    name: str, users: int, length_s: float, passed: float
):
    """Nobody at all is a pause that no shape has; more than asked for may hurt whoever is loaded."""
    found = people(SHAPES[name], passed * length_s, users=users, length_s=length_s)
    assert found is None or 1 <= found <= users


@given(st.sampled_from(sorted(SHAPES)), USERS, LENGTHS)
def test_every_test_ends_at_its_length(name: str, users: int, length_s: float):
    assert people(SHAPES[name], length_s, users=users, length_s=length_s) is None
    assert people(SHAPES[name], 0.999 * length_s, users=users, length_s=length_s) is not None


def course(name: str, users: int = 100, length_s: int = 1000) -> list[int]:
    return [people(SHAPES[name], at, users=users, length_s=length_s) or 0 for at in range(length_s)]


def test_a_ramp_only_rises():
    seen = course("ramp")
    assert seen == sorted(seen)
    assert (seen[0], seen[500], seen[-1]) == (1, 50, 100)


def test_a_spike_is_steep_on_both_sides():
    seen = course("spike")
    assert seen[399:401] == [int(100 * BASE), 100]
    assert seen[599:601] == [100, int(100 * BASE)]
    assert set(seen) == {int(100 * BASE), 100}


def test_a_day_has_its_peak_at_noon_and_ends_as_it_began():
    seen = course("diurnal")
    assert max(seen) == seen[500] == 100
    assert seen[0] == seen[-1] == 10


def test_a_soak_holds_everybody_after_they_have_come():
    seen = course("soak")
    assert seen[50:] == [100] * 950


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_shape_has_a_length_of_its_own(name: str):
    assert SHAPES[name].length_s >= 600
