"""Overload is judged by what was answered, not by what the script hoped for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop import NO_ANSWER, Answer, Seen, is_whole
from overload import AFTER_S, BEFORE_S, HALVINGS, LEAST, Objective, Stairs, judged, meets, next_rate, recovery

OBJECTIVE = Objective()
SECONDS = 10.0
END = BEFORE_S + SECONDS
STAIRS = Stairs(sustained=100.0, peak=120.0)


def good(due: float, took: float = 0.01) -> Answer:
    return Answer(due, took, 200, whole=True)


def refused(due: float) -> Answer:
    return Answer(due, 0.001, 503, retry_after=True)


def flood(answers: list[Answer]) -> Seen:
    """Overload with 100 good answers a second, normal load around it, and what else was seen."""
    before = [good(each / 50) for each in range(int(50 * BEFORE_S))]
    during = [good(BEFORE_S + each / 100) for each in range(int(100 * SECONDS))]
    after = [good(END + each / 50) for each in range(int(50 * AFTER_S))]
    return Seen([*before, *during, *after, *answers])


def verdicts(seen: Seen) -> list[bool]:
    """Whether answers, goodput and recovery hold."""
    return [each.holds for each in judged("x", STAIRS, seen, OBJECTIVE, seconds=SECONDS)]


def test_refusals_that_say_when_to_come_back_are_allowed():
    assert verdicts(flood([refused(BEFORE_S + 1)] * 300)) == [True, True, True]


@pytest.mark.parametrize(
    "wrong",
    [Answer(6.0, 0.1, 500), Answer(6.0, 0.1, 503), Answer(6.0, 0.1, NO_ANSWER), Answer(6.0, 0.1, 429)],
)
def test_any_other_answer_is_a_miss(wrong: Answer):
    """A 503 without Retry-After is a breakdown, not a refusal."""
    assert verdicts(flood([wrong])) == [False, True, True]


def test_a_fallback_is_allowed_but_not_good():
    """Otherwise a recommender that answers everything with what is popular would have the best goodput."""
    fallbacks = Seen([Answer(each.due, each.took, 200) for each in flood([]).answers])
    assert verdicts(fallbacks) == [True, False, False]


def test_what_is_slow_for_too_long_after_the_overload_has_not_recovered():
    assert recovery(flood([good(END + 1, took=3.0)]), END, OBJECTIVE) == pytest.approx(4.0)
    assert verdicts(flood([good(END + 3, took=3.0)])) == [True, True, False]


def test_a_service_that_never_answers_again_has_not_recovered():
    gone = Seen([Answer(END + each, 1.0, NO_ANSWER) for each in range(5)])
    assert math.isinf(recovery(gone, END, OBJECTIVE))
    assert math.isinf(recovery(Seen([]), END, OBJECTIVE))


def test_without_an_answer_nothing_is_sustained():
    assert not meets(Seen([]), OBJECTIVE)


@given(capacity=st.floats(2.0, 5000.0), first=st.floats(10.0, 500.0))
def test_the_staircase_ends_just_below_what_is_sustained(capacity: float, first: float):
    low, high, rate, narrowed = 0.0, None, first, 0
    while narrowed < HALVINGS and rate >= LEAST:
        if rate <= capacity:
            low = rate
        else:
            high = rate
        narrowed += low > 0 and high is not None
        rate = next_rate(low, high)
    assert low <= capacity
    assert low >= 0.75 * capacity


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (b'{"items":[],"fallback":null}', True),
        (b'{"items":[],"fallback": null}', True),
        (b'{"items":[],"fallback":"deadline"}', False),
        (b'{"outputs":[]}', True),
    ],
)
def test_a_named_fallback_is_not_what_was_asked_for(body: bytes, whole: bool):
    assert is_whole(body) is whole
