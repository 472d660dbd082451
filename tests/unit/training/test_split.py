"""Where learning ends and judgement begins."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import ConfigError, DataError
from tonnage.training.config import TrainingConfig
from tonnage.training.split import split

FIRST = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
LAST = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)


def test_the_default_judges_on_the_last_thirty_days() -> None:
    when = split(FIRST, LAST, TrainingConfig())
    assert when.end == datetime(2011, 12, 10, tzinfo=UTC)
    assert when.judge_from == datetime(2011, 11, 10, tzinfo=UTC)
    assert when.judge_until == when.end


def test_a_named_day_is_followed_by_judge_days() -> None:
    when = split(FIRST, LAST, TrainingConfig(judge_from=date(2011, 11, 9), judge_days=30))
    assert (when.judge_from, when.judge_until) == (
        datetime(2011, 11, 9, tzinfo=UTC),
        datetime(2011, 12, 9, tzinfo=UTC),
    )


@given(
    days=st.integers(5, 800),
    lessons=st.integers(1, 12),
    lesson_days=st.integers(1, 40),
    hour=st.integers(0, 23),
)
def test_no_lesson_looks_into_the_judged_days(days: int, lessons: int, lesson_days: int, hour: int) -> None:
    """The ranker would have seen the answers."""
    last = FIRST + timedelta(days=days, hours=hour)
    when = split(FIRST, last, TrainingConfig(lessons=lessons, lesson_days=lesson_days))
    assert when.lessons
    for at in when.lessons:
        assert at + when.horizon <= when.judge_from
        assert at > FIRST.replace(hour=0, minute=0)
        assert (at.hour, at.minute) == (0, 0)
    assert when.judge_from < when.judge_until <= when.end
    assert last < when.end


def test_a_few_days_of_data_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        split(FIRST, FIRST + timedelta(days=2), TrainingConfig())


@pytest.mark.parametrize("day", [date(2010, 12, 20), date(2012, 1, 1)])
def test_a_day_that_leaves_nothing_to_learn_or_to_judge_is_refused(day: date) -> None:
    with pytest.raises(ConfigError, match="judge_from"):
        split(FIRST, LAST, TrainingConfig(judge_from=day, judge_days=30))
