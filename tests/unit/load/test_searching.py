"""A search for the highest rate always ends, and ends where the truth is."""

import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.deployment.judge.verdict import Outcome
from tonnage.errors import ConfigError
from tonnage.load.searching import End, Ending, Next, Search, decide, known, outlook

RATES = st.floats(0.6, 15_000)
OUTCOMES = st.sampled_from([Outcome.PASS, Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE])


@dataclass(frozen=True)
class Tried:
    rate: float
    outcome: Outcome


def searched(search: Search, answer) -> tuple[list[Tried], End]:
    tries: list[Tried] = []
    while isinstance(step := decide(tries, search), Next):
        tries.append(Tried(step.rate, answer(step.rate)))
    return tries, step


def exactly(truth: float):
    return lambda rate: Outcome.PASS if rate <= truth else Outcome.FAIL


@given(truth=RATES, start=st.floats(0.5, 20_000))
def test_without_noise_the_answer_is_the_truth_to_the_resolution(truth: float, start: float):
    search = Search(start=start)
    tries, end = searched(search, exactly(truth))
    assert end.ending is Ending.FOUND
    assert end.known.highest is not None
    assert end.known.breaks is not None
    assert end.known.highest <= truth < end.known.breaks
    assert end.known.breaks / end.known.highest == pytest.approx(1 + search.resolution, rel=0.005)
    assert len(tries) <= 38


@given(outcomes=st.lists(OUTCOMES, min_size=60, max_size=60), budget=st.integers(1, 60))
def test_it_ends_whatever_comes_and_within_its_budget(outcomes: list[Outcome], budget: int):
    queue = iter(outcomes)
    tries, _ = searched(Search(budget=budget), lambda _: next(queue))
    assert len(tries) <= budget


@given(seed=st.integers(0, 10_000), start=st.sampled_from([3.0, 40.0, 900.0]))
def test_it_ends_without_a_budget_too(seed: int, start: float):
    """Answers that contradict each other must not send it up and down for ever."""
    chance = random.Random(seed)
    search = Search(start=start, budget=1000)
    tries, end = searched(search, lambda _: chance.choice([Outcome.PASS, Outcome.FAIL, Outcome.ERROR]))
    assert end.ending is not Ending.OUT_OF_TRIES
    for rate in {each.rate for each in tries}:
        assert sum(each.rate == rate for each in tries) <= 2 * search.confirmations - 1 + search.errors


def test_noise_near_the_truth_moves_the_answer_by_little():
    """A run near the limit passes by chance; the chance falls with the distance."""
    truth, errors = 180.0, []
    for seed in range(200):
        chance = random.Random(seed)

        def noisy(rate: float, chance: random.Random = chance) -> Outcome:
            passes = 1 / (1 + math.exp((rate / truth - 1) / 0.02))
            return Outcome.PASS if chance.random() < passes else Outcome.FAIL

        _, end = searched(Search(start=20), noisy)
        assert end.known.highest is not None
        errors.append(abs(end.known.highest / truth - 1))
    assert max(errors) < 0.15
    assert sorted(errors)[len(errors) // 2] < 0.04


def test_one_unlucky_run_in_ten_does_not_hide_what_holds():
    """Without confirmation a search of a dozen runs would end far below the truth as often as not."""
    found = []
    for seed in range(200):
        chance = random.Random(seed)

        def unlucky(rate: float, chance: random.Random = chance) -> Outcome:
            return Outcome.FAIL if rate > 300 or chance.random() < 0.1 else Outcome.PASS

        _, end = searched(Search(start=20), unlucky)
        found.append(end.known.highest or 0.0)
    assert max(found) <= 300
    assert sum(rate > 270 for rate in found) >= 150


def test_the_answer_is_confirmed_and_so_is_what_breaks():
    tries, end = searched(Search(start=20, confirmations=3), exactly(100))
    assert [each.outcome for each in tries if each.rate == end.known.highest] == [Outcome.PASS] * 3
    assert [each.outcome for each in tries if each.rate == end.known.breaks] == [Outcome.FAIL] * 3
    assert end.known.confirmed


def test_a_lucky_pass_is_taken_back_when_it_does_not_repeat():
    lucky = iter([Outcome.PASS])

    def answer(rate: float) -> Outcome:
        return next(lucky, Outcome.FAIL) if 100 < rate < 170 else exactly(100)(rate)

    _, end = searched(Search(start=40), answer)
    assert end.known.highest is not None
    assert 95 < end.known.highest <= 100


def test_a_rate_that_cannot_be_measured_leaves_the_answer_open_above():
    """A generator that is saturated says nothing of the service."""

    def saturated(rate: float) -> Outcome:
        return Outcome.PASS if rate < 500 else Outcome.ERROR

    _, end = searched(Search(), saturated)
    assert end.ending is Ending.AT_LEAST
    assert end.known.unmeasured
    assert end.known.highest == pytest.approx(490, rel=0.05)


def test_where_nothing_can_be_measured_it_gives_up_at_once():
    tries, end = searched(Search(), lambda _: Outcome.ERROR)
    assert end.ending is Ending.UNMEASURED
    assert len(tries) == Search().errors


def test_where_nothing_holds_it_says_so():
    _, end = searched(Search(slowest=2), lambda _: Outcome.FAIL)
    assert end.ending is Ending.NOTHING_HOLDS
    assert end.known.highest is None


def test_where_everything_holds_it_stops_at_the_fastest():
    _, end = searched(Search(fastest=1000), lambda _: Outcome.PASS)
    assert end.ending is Ending.AT_LEAST
    assert end.known.highest == pytest.approx(1000, rel=0.03)
    assert end.known.confirmed


@given(truth=RATES, cut=st.integers(0, 40))
def test_an_interrupted_search_keeps_what_it_knows_and_goes_on(truth: float, cut: int):
    search = Search()
    tries, end = searched(search, exactly(truth))
    begun = tries[:cut]
    so_far = known(begun, search)
    assert so_far.highest is None or so_far.highest <= truth
    assert so_far.breaks is None or so_far.breaks > truth
    while isinstance(step := decide(begun, search), Next):
        begun.append(Tried(step.rate, exactly(truth)(step.rate)))
    assert step == end


@given(truth=RATES, cut=st.integers(0, 40))
def test_the_outlook_is_never_more_than_what_may_come_and_near_what_comes(truth: float, cut: int):
    search = Search()
    tries, _ = searched(search, exactly(truth))
    cut = min(cut, len(tries))
    ahead = outlook(tries[:cut], search, seconds=10)
    left = len(tries) - cut
    assert ahead.likely <= ahead.most
    assert left <= ahead.most
    assert ahead.seconds == ahead.likely * 10
    assert (left == 0) == (ahead.likely == 0)
    bracketed = known(tries[:cut], search)
    if bracketed.highest and bracketed.breaks:
        assert abs(ahead.likely - left) <= 6


def test_beginning_near_the_answer_takes_fewer_tries():
    far, _ = searched(Search(start=2), exactly(200))
    near, _ = searched(Search().near(205), exactly(200))
    assert len(near) <= len(far) - 5


@given(level=st.integers(-15, 250))
def test_a_rate_on_the_grid_is_found_there_again(level: int):
    search = Search()
    assert search.level(search.rate(level)) == level


@pytest.mark.parametrize("wrong", [{"start": 0.1}, {"start": "nan"}, {"fastest": 1}, {"tempo": 3}])
def test_settings_that_cannot_be_are_named(wrong: dict[str, object]):
    with pytest.raises(ConfigError, match=r"\[search\]"):
        Search.read(wrong, where="[search]")
