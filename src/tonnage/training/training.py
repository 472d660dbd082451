"""The whole training: learn from the past, be judged on days not seen, and fit again on everything."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import xgboost as xgb

from tonnage.datasets.tables import Tables
from tonnage.domain import Floats, ItemId, Rows
from tonnage.features import ranking, sources
from tonnage.features.rows import UserRow
from tonnage.features.store import OfflineFeatures
from tonnage.telemetry import Progress
from tonnage.training import judging, moment, ranker, trend
from tonnage.training.config import TrainingConfig
from tonnage.training.content import content_vectors
from tonnage.training.evaluation import Evaluation
from tonnage.training.events import Events
from tonnage.training.moment import Catalogue, Moment
from tonnage.training.split import Split, split
from tonnage.training.trained import DataWindow, Trained

VALUES = 8
"""How many values of a demographic column become features: the most frequent ones."""

QUERIES = 400
"""Users whose vectors an index is measured with."""


_Past = tuple[Moment, list[UserRow], list[Rows]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What every step of one training shares."""

    events: Events
    features: OfflineFeatures
    catalogue: Catalogue
    config: TrainingConfig
    split: Split
    progress: Progress
    learned: trend.Trend | None = None

    def moment(self, at: datetime, *, everything: bool = False) -> Moment:
        then = moment.fit(
            self.events, self.features, self.catalogue, self.config, at=at, everything=everything
        )
        return then.with_trend(self.learned)

    def pupils(self, at: datetime, until: datetime) -> tuple[list[int], list[Rows]]:
        """Positions of the users that took something from `at` on, and the rows they took."""
        taken = self.events.between(at, until).taken()
        return list(taken), list(taken.values())


def train(
    tables: Tables, features: Path, config: TrainingConfig, *, progress: Progress, replay: bool = False
) -> Trained:
    """Train and judge a release.

    Args:
        tables: validated.
        features: directory of the feature rows of these tables.
        config: the table `[training]`.
        replay: the data are historical, see `Trained.replay`.
        progress: is told of each step.

    Raises:
        DataError: the data are too short or hold nothing to foresee.
        ConfigError: the judged days do not fit the data.
    """
    events = Events.of(tables, config.relevant)
    times = tables.interactions["at"]
    course = _Course(
        events=events,
        features=OfflineFeatures(features),
        catalogue=catalogue(tables, config),
        config=config,
        split=split(times.min().to_pydatetime(), times.max().to_pydatetime(), config),
        progress=progress,
    )
    names = ranking.names(course.catalogue.vocabularies)
    with progress.stage("learn what is wanted"):
        known, learned = _trend(course)
        course = replace(course, learned=learned)
    with progress.stage(f"learn from {len(course.split.lessons)} moments"):
        booster = ranker.fit(list(_lessons(course, known)), names.all, config)
    with progress.stage("judge on unseen days"):
        present = course.moment(course.split.judge_from)
        evaluation = _judge(course, present, booster)
    if config.refit:
        with progress.stage("fit again on all data"):
            present = course.moment(course.split.end, everything=True)
    return _trained(tables, course, present, booster, evaluation, replay=replay)


def catalogue(tables: Tables, config: TrainingConfig) -> Catalogue:
    """What training knows of items and demographics that does not change with time."""
    items: list[ItemId] = tables.items["item_id"].tolist()
    codes = np.full(len(items), -1)
    if "category" in tables.items:
        codes, _ = pd.factorize(tables.items["category"])
    columns = [column for column in tables.users.columns if column != "user_id"]
    return Catalogue(
        items=items,
        row_of={item: row for row, item in enumerate(items)},
        categories=codes.astype(np.int32),
        content=content_vectors(tables.items, factors=config.content_factors, seed=config.seed),
        vocabularies={
            column: sorted(tables.users[column].value_counts().index[:VALUES].tolist()) for column in columns
        },
    )


def _trend(course: _Course) -> tuple[Mapping[datetime, _Past], trend.Trend | None]:
    """What was learned of the trend, and from which moments: the ranker learns from them again."""
    random = np.random.default_rng(course.config.seed)
    # Every other one: their days overlap less, and so teach more.
    moments = course.split.lessons[::2][: trend.LESSONS]
    known = {past[0].at: past for past in _past(course, moments)}
    samples = [each for past in known.values() for each in trend.sample(*past, random)]
    return known, trend.fit(samples)


def _lessons(course: _Course, known: Mapping[datetime, _Past]) -> Iterator[ranker.Lesson]:
    random = np.random.default_rng(course.config.seed)
    for then, users, taken in _past(course, course.split.lessons, known):
        learned = ranker.lesson(then, users, taken, negatives=course.config.negatives, random=random)
        if learned is not None:
            course.progress.say(
                f"{then.at:%Y-%m-%d}: {len(learned.sizes):,} users, {len(learned.taken):,} rows"
            )
            yield learned


def _past(
    course: _Course, moments: Sequence[datetime], known: Mapping[datetime, _Past] = MappingProxyType({})
) -> Iterator[_Past]:
    """Each moment with the users that came afterwards, as they were then, and what they took."""
    for at in moments:
        if at in known:
            then, users, taken = known[at]
            yield then.with_trend(course.learned), users, taken
            continue
        pupils, taken = course.pupils(at, at + course.split.horizon)
        if pupils and len(course.events.until(at).times):
            users = moment.users_at(course.features, [course.events.users[each] for each in pupils], at)
            yield course.moment(at), users, taken


def _judge(course: _Course, present: Moment, booster: xgb.Booster) -> Evaluation:
    when = course.split
    pupils, taken = course.pupils(when.judge_from, when.judge_until)
    users = moment.users_at(course.features, [course.events.users[each] for each in pupils], when.judge_from)
    notes = (
        f"Trained on what is before {when.judge_from:%Y-%m-%d}, judged on the rest"
        f" before {when.judge_until:%Y-%m-%d}.",
        "discovery: users with a past, items new to them.",
    )
    return judging.judge(present, booster, users, taken, seed=course.config.seed, notes=notes)


def _trained(
    tables: Tables,
    course: _Course,
    present: Moment,
    booster: xgb.Booster,
    evaluation: Evaluation,
    *,
    replay: bool,
) -> Trained:
    rows, weights = present.neighbours
    return Trained(
        items=_items(tables, course, present),
        item_vectors=present.vectors.items,
        gram=present.vectors.gram,
        alpha=present.vectors.alpha,
        queries=_queries(course, present),
        neighbour_rows=rows,
        neighbour_weights=weights,
        ranker=bytes(booster.save_raw("ubj")),
        vocabularies=course.catalogue.vocabularies,
        names=ranking.names(course.catalogue.vocabularies),
        evaluation=evaluation,
        window=_window(course, present),
        replay=replay,
    )


def _queries(course: _Course, present: Moment) -> Floats:
    """Vectors of users drawn at random, float32 [at most `QUERIES`, d], folded in as serving does."""
    weights = course.events.until(present.at).weights(present.at)
    users = np.flatnonzero(np.diff(weights.indptr))
    drawn = np.random.default_rng(course.config.seed).permutation(users)[:QUERIES]
    vectors = present.vectors
    queries = np.empty((len(drawn), vectors.items.shape[1]), np.float32)
    for position, user in enumerate(drawn):
        had = weights[user]
        queries[position] = sources.fold_in(
            vectors.items, vectors.gram, had.indices, had.data, alpha=vectors.alpha
        )
    return queries


def _window(course: _Course, present: Moment) -> DataWindow:
    used = course.events.until(present.at)
    return DataWindow(
        since=datetime.fromtimestamp(float(used.times[0]), UTC),
        until=datetime.fromtimestamp(float(used.times[-1]), UTC),
        interactions=len(used.times),
        users=len(np.unique(used.user)),
        items=len(course.catalogue.items),
        judged_from=course.split.judge_from,
        judged_until=course.split.judge_until,
    )


def _items(tables: Tables, course: _Course, present: Moment) -> pa.Table:
    names = ranking.names(course.catalogue.vocabularies).item
    shown = tables.items.dropna(axis="columns", how="all")
    table = pa.Table.from_pandas(shown, preserve_index=False).replace_schema_metadata(None)
    table = table.append_column("popularity", pa.array(present.popularity, pa.float32()))
    recent = pa.array(present.recent_popularity, pa.float32())
    table = table.append_column("recent_popularity", recent)
    table = table.append_column("first_seen", _first_seen(course, present))
    for column, name in enumerate(names):
        table = table.append_column(name, pa.array(present.statistics[:, column], pa.float32()))
    return table


def _first_seen(course: _Course, present: Moment) -> pa.Array:
    used = course.events.until(present.at)
    first = np.full(len(course.catalogue.items), np.inf)
    np.minimum.at(first, used.item, used.times)
    micros = [None if np.isinf(each) else round(each * 1e6) for each in first.tolist()]
    return pa.array(micros, pa.timestamp("us", tz="UTC"))
