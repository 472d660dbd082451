"""What training hands on to releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from tonnage.domain import Floats, Rows


class Names(Protocol):
    """The ranker's feature columns by group, in the order of its matrix."""

    @property
    def item(self) -> Sequence[str]:
        """Columns of the item table."""
        ...

    @property
    def user(self) -> Sequence[str]:
        """What is known of the user at the time."""
        ...

    @property
    def user_item(self) -> Sequence[str]:
        """What the user did with the item or its kind."""
        ...

    @property
    def sources(self) -> Sequence[str]:
        """What each source of candidates thinks of the item."""
        ...

    @property
    def cross(self) -> Sequence[str]:
        """Computed from the other groups."""
        ...

    @property
    def all(self) -> Sequence[str]:
        """Every column, in order."""
        ...

    def fingerprint(self) -> str:
        """Digest of the names and of the version of their definitions, hex."""
        ...


class Judgement(Protocol):
    """How the models did on the days that they had not seen."""

    @property
    def accepted(self) -> bool:
        """Whether the slate beats every baseline."""
        ...

    @property
    def reasons(self) -> Sequence[str]:
        """Why, in words; each baseline and its margin."""
        ...

    def as_dict(self) -> Mapping[str, object]:
        """Metrics with their intervals by model and user group, as JSON types."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DataWindow:
    """Which data a release stands on, and which it was judged by. All times in UTC.

    Attributes:
        since: first interaction that the sources were fitted on.
        until: last interaction that the sources were fitted on.
        interactions: how many, in between.
        users: how many distinct users they have.
        items: how many items the release holds.
        judged_from: start of the days that the models were judged on, and had not seen then.
        judged_until: their end.
    """

    since: datetime
    until: datetime
    interactions: int
    users: int
    items: int
    judged_from: datetime
    judged_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Everything that a release is made of. Item row i is row i of every table and array here.

    Attributes:
        items: item_id, title, description?, category?, price?, popularity and recent_popularity f32 (the
            trend for users with and without a history), first_seen, and the feature columns `names.item`
            as f32.
        item_vectors: float32 [n_items, d].
        gram: float32 [d, d], `item_vectors.T @ item_vectors + lambda I`, for folding users in.
        alpha: weight of an observed interaction when folding in (Hu, Koren and Volinsky 2008).
        queries: float32 [m, d], users folded in from their histories, to measure an index with.
        neighbour_rows: int32 [n_items, m], items bought together with each; -1 where there are fewer.
        neighbour_weights: float32 [n_items, m].
        ranker: XGBoost model as UBJSON.
        vocabularies: the known values of each demographic column, in the order of their feature columns.
        names: the ranker's feature columns.
        evaluation: how the models did against the baselines.
        window: the data behind it.
        replay: the data are historical: serving's clock starts at `window.until`.
    """

    items: pa.Table
    item_vectors: Floats
    gram: Floats
    alpha: float
    queries: Floats
    neighbour_rows: Rows
    neighbour_weights: Floats
    ranker: bytes
    vocabularies: Mapping[str, Sequence[str]]
    names: Names
    evaluation: Judgement
    window: DataWindow
    replay: bool
