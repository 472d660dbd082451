"""Where the past ends and judgement begins: split by time, so that nothing is learned from the future."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from tonnage.errors import ConfigError, DataError
from tonnage.training.config import TrainingConfig

DAY = timedelta(days=1)

USUAL_DAYS = 30
"""What a slate must foresee, if nobody says otherwise."""

FEWEST_DAYS = 5
"""Data that cover less cannot be split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The moments of a training, all midnights in UTC.

    Attributes:
        lessons: when the ranker learns, latest first; what follows each for `horizon` is before `judge_from`.
        judge_from: the models see only what is before it.
        judge_until: they are judged on what is before it, and not before `judge_from`.
        horizon: how far a slate looks.
        end: just after the last interaction.
    """

    lessons: tuple[datetime, ...]
    judge_from: datetime
    judge_until: datetime
    horizon: timedelta
    end: datetime


def split(first: datetime, last: datetime, config: TrainingConfig) -> Split:
    """Divide the time from the first to the last interaction.

    Raises:
        DataError: they lie too close together.
        ConfigError: the judged days are not within the data, or leave no time to learn before them.
    """
    start, end = midnight(first), midnight(last) + DAY
    days = (end - start).days
    if days < FEWEST_DAYS:
        raise DataError(
            f"{days} days of data cannot be split by time", hint=f"At least {FEWEST_DAYS} are needed."
        )
    horizon = (config.judge_days or max(1, min(USUAL_DAYS, days // 5))) * DAY
    judge_from = end - horizon
    if config.judge_from is not None:
        judge_from = datetime.combine(config.judge_from, time(), UTC)
    latest = judge_from - horizon
    if judge_from >= end or latest <= start:
        raise ConfigError(
            "the judged days leave nothing to judge on, or nothing to learn from",
            hint="Change judge_from or judge_days in [training].",
            judge_from=judge_from.date(),
            judge_days=horizon.days,
            data_from=start.date(),
            data_until=last.date(),
        )
    moments = (latest - step * config.lesson_days * DAY for step in range(config.lessons))
    # A lesson needs a past at least as long as what it foresees; the latest one is taken in any case.
    lessons = [at for at in moments if at == latest or at - start >= horizon]
    return Split(
        lessons=tuple(lessons),
        judge_from=judge_from,
        judge_until=min(judge_from + horizon, end),
        horizon=horizon,
        end=end,
    )


def midnight(at: datetime) -> datetime:
    """The start of the UTC day of a moment."""
    return datetime.combine(at.astimezone(UTC).date(), time(), UTC)
