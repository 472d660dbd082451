"""Evidence that may be looked at as often as one likes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tonnage.deployment.judge.evidence import Line, Side, Tallies, log_evidence, needed

COUNTS = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0, 1), st.integers(0, 300), st.floats(0, 1)),
    min_size=2,
    max_size=8,
)
LINES = st.builds(Line, ratio=st.floats(0.5, 3), more=st.floats(0.0005, 0.2))


def tallies(counts: list[tuple[int, float, int, float]]) -> Tallies:
    columns = [(n_s, int(n_s * p_s), n_c, int(n_c * p_c)) for n_s, p_s, n_c, p_c in counts]
    return Tallies(*np.array(columns).T)


@pytest.mark.parametrize("side", Side)
@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, line=LINES)
def test_evidence_is_a_number_whatever_was_counted(
    counts: list[tuple[int, float, int, float]], line: Line, side: Side
):
    found = log_evidence(tallies(counts), line, side, restarting=side is Side.WORSE)
    assert np.isfinite(found).all()


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, line=LINES)
def test_later_windows_do_not_change_what_earlier_ones_proved(
    counts: list[tuple[int, float, int, float]], line: Line
):
    """A verdict that was right to give must still stand when somebody looks again."""
    whole = log_evidence(tallies(counts), line, Side.WORSE, restarting=True)
    part = log_evidence(tallies(counts[:-1]), line, Side.WORSE, restarting=True)
    np.testing.assert_allclose(whole[: len(part)], part, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, line=LINES, window=st.integers(0, 7))
def test_one_more_error_is_more_evidence_against_and_less_for(
    counts: list[tuple[int, float, int, float]], line: Line, window: int
):
    fewer = tallies(counts)
    window %= len(counts)
    if fewer.canary_x[window] == fewer.canary_n[window]:
        return
    events = fewer.canary_x.copy()
    events[window] += 1
    more = Tallies(fewer.stable_n, fewer.stable_x, fewer.canary_n, events)
    against = [log_evidence(each, line, Side.WORSE, restarting=True) for each in (fewer, more)]
    in_favour = [log_evidence(each, line, Side.BETTER) for each in (fewer, more)]
    assert (against[1] >= against[0] - 1e-6).all()
    assert (in_favour[1] <= in_favour[0] + 1e-6).all()


def test_expected_evidence_is_at_most_one_on_the_line():
    """The property that all the rest stands on, summed over every outcome instead of drawn."""
    from scipy.stats import binom

    line, stable, n_s, n_c = Line(ratio=1.5, more=0.02), 0.1, 12, 6
    canary = line.beside(np.array(stable))
    total = dict.fromkeys(Side, 0.0)
    for x_s in range(n_s + 1):
        for x_c in range(n_c + 1):
            # The first window only tells what stable is like.
            seen = Tallies(*np.array([[50, 4, 0, 0], [n_s, x_s, n_c, x_c]]).T)
            chance = binom.pmf(x_s, n_s, stable) * binom.pmf(x_c, n_c, canary)
            for side in Side:
                total[side] += chance * np.exp(log_evidence(seen, line, side)[-1])
    assert all(0 < each <= 1 + 1e-9 for each in total.values()), total


def test_an_hour_of_good_behaviour_does_not_hide_that_a_canary_went_bad():
    n_s, n_c = np.full(370, 270), np.full(370, 30)
    events = np.zeros(370, dtype=int)
    events[360:] = 2
    found = log_evidence(Tallies(n_s, events * 0, n_c, events), Line(more=0.005), Side.WORSE, restarting=True)
    assert found[358] < 0.1
    assert found[-1] > np.log(100)


def test_windows_without_one_of_the_tracks_compare_nothing():
    idle = Tallies(*np.array([[100, 1, 0, 0], [0, 0, 50, 50], [100, 1, 0, 0]]).T)
    assert log_evidence(idle, Line(), Side.WORSE).size == 0


def test_the_finer_the_question_the_more_requests_it_needs():
    seen = Tallies(*np.array([[3000, 0, 0, 0], [270, 0, 30, 0]]).T)
    asked = [needed(seen, Line(more=more), Side.BETTER, alpha=0.05) for more in (0.05, 0.01, 0.002)]
    assert asked == sorted(asked)
    assert 500 < asked[1] < 1500


def test_a_canary_as_good_as_stable_is_not_promised_a_fail():
    seen = Tallies(*np.array([[3000, 3, 0, 0], [270, 0, 30, 0]]).T)
    assert needed(seen, Line(ratio=1.5, more=0.01), Side.WORSE, alpha=0.01) == np.inf
