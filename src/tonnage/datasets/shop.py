"""A made-up shop: items with latent qualities that their words and prices give away, users with tastes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.words import AGE_BANDS, CATEGORIES, COLOURS, COUNTRIES, MATERIALS, STYLES

Array = NDArray[Any]

FIRST_COME = 0.6
"""Share of the users who are there on the first day; the others come later, evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Every array has one entry per item or per user; days count from the first.

    Attributes:
        qualities: float32 [n_items, factors], about unit length.
        log_price: float32 [n_items].
        appears: first day of each item, float32 [n_items].
        appeal: log of the popularity at rest, float32 [n_items].
        swing, period, phase: of the popularity's rise and fall, float32 [n_items]; days.
        tastes: float32 [n_users, factors].
        budget: log of the price that a user likes best, float32 [n_users].
        joins: day of the first visit at the earliest, float32 [n_users].
        activity: relative number of visits, float64 [n_users], sums to 1.
    """

    items: pd.DataFrame
    users: pd.DataFrame
    qualities: Array
    log_price: Array
    appears: Array
    appeal: Array
    swing: Array
    period: Array
    phase: Array
    tastes: Array
    budget: Array
    joins: Array
    activity: Array

    def log_popularity(self, days: Array | float, rows: Array | slice = slice(None)) -> Array:
        """Log of the popularity of item rows at `days`; minus infinity before an item appears."""
        turn = np.sin(2 * np.pi * (days / self.period[rows] + self.phase[rows]))
        known = self.appears[rows] <= days
        return np.where(known, self.appeal[rows] + self.swing[rows] * turn, -np.inf)


def build(config: SimulatorConfig) -> Shop:
    """Make the shop that `config` describes, without a loop over items or users."""
    # Streams of their own: more users do not change the items.
    directions, goods, people = (np.random.default_rng([config.seed, stream]) for stream in range(3))
    centres = _unit(directions.normal(size=(config.categories, config.factors)))
    styles = _unit(directions.normal(size=(config.categories, len(STYLES), config.factors)))
    return Shop(**_items(config, goods, centres, styles), **_users(config, people, directions, centres))


def _items(
    config: SimulatorConfig, random: np.random.Generator, centres: Array, styles: Array
) -> dict[str, Any]:
    n = config.items
    category = random.integers(0, config.categories, n)
    style, material = random.integers(0, len(STYLES), n), random.integers(0, len(MATERIALS), n)
    noise = random.normal(scale=0.35 / np.sqrt(config.factors), size=(n, config.factors)).astype(np.float32)
    qualities = 0.75 * centres[category] + 0.55 * styles[category, style] + noise
    base = random.normal(1.5, 0.5, config.categories)
    log_price = base[category] + 0.25 * material + random.normal(scale=0.3, size=n)
    late = random.random(n) < config.new_items
    price = np.exp(log_price).round(2).clip(0.05)
    return {
        "items": _catalogue(random, category, style, material, price),
        "qualities": _unit(qualities).astype(np.float32),
        "log_price": np.log(price).astype(np.float32),
        "appears": np.where(late, random.uniform(0, config.days, n), 0).astype(np.float32),
        "appeal": random.normal(scale=1.0, size=n).astype(np.float32),
        "swing": random.gamma(2.0, 0.3, n).astype(np.float32),
        "period": random.uniform(60, 365, n).astype(np.float32),
        "phase": random.random(n).astype(np.float32),
    }


def _catalogue(
    random: np.random.Generator, category: Array, style: Array, material: Array, price: Array
) -> pd.DataFrame:
    n = len(category)
    names = list(CATEGORIES)
    things = np.array([CATEGORIES[name] for name in names])
    which = random.integers(0, things.shape[1], n)
    noun = pa.array(things.ravel()).take(pa.array(category * things.shape[1] + which))
    words = [
        pa.array(COLOURS).take(pa.array(random.integers(0, len(COLOURS), n))),
        pa.array(STYLES).take(pa.array(style)),
        pa.array(MATERIALS).take(pa.array(material)),
        noun,
    ]
    department = pa.array(names).take(pa.array(category))
    described = ("A", words[1], noun, "of", words[2], "for the", department)
    return pd.DataFrame(
        {
            "item_id": identifiers("i", n),
            "title": pc.utf8_upper(pc.binary_join_element_wise(*words, " ")).to_pandas(),
            "description": pc.binary_join_element_wise(*described, " ").to_pandas(),
            "category": department.to_pandas(),
            "price": price,
        }
    )


def _users(
    config: SimulatorConfig, random: np.random.Generator, directions: np.random.Generator, centres: Array
) -> dict[str, Any]:
    n = config.users
    country = random.choice(len(COUNTRIES), n, p=_zipf(len(COUNTRIES)))
    age = random.integers(0, len(AGE_BANDS), n)
    # Where people live and how old they are says something about the categories they like, not everything.
    by_country = directions.normal(scale=0.6, size=(len(COUNTRIES), len(centres)))
    by_age = directions.normal(scale=0.9, size=(len(AGE_BANDS), len(centres)))
    liking = by_country[country] + by_age[age] + random.normal(scale=0.9, size=(n, len(centres)))
    own = random.normal(scale=1.0, size=(n, config.factors))
    activity = random.gamma(0.8, 1.0, n) + 0.02
    early = random.random(n) < FIRST_COME
    return {
        "users": pd.DataFrame(
            {
                "user_id": identifiers("u", n),
                "country": np.array(COUNTRIES, dtype=object)[country],
                "age_band": np.array(AGE_BANDS, dtype=object)[age],
            }
        ),
        "tastes": (liking @ centres + own).astype(np.float32),
        "budget": random.normal(1.6 + 0.15 * age, 0.5).astype(np.float32),
        "joins": np.where(early, 0, random.uniform(0, config.days, n)).astype(np.float32),
        "activity": activity / activity.sum(),
    }


def identifiers(letter: str, count: int) -> "pd.Series[Any]":
    """`i0000000`, `i0000001`, ...: the number in an id is its row."""
    digits = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), 7, "0")
    return pd.Series(pc.binary_join_element_wise(letter, digits, "").to_pandas())


def rows_of(letter: str, ids: Sequence[str], count: int) -> Array:
    """The rows that ids of `identifiers` name, int64 [n]; -1 for what is no such id."""
    text = pd.Series(list(ids), dtype=object).astype(str)
    digits = pd.to_numeric(text.str.extract(rf"^{letter}(\d{{7,}})$")[0], errors="coerce")
    rows = digits.fillna(-1).to_numpy(dtype=np.int64)
    return np.where((rows >= 0) & (rows < count), rows, -1)


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _zipf(count: int) -> Array:
    weights = 1 / np.arange(1, count + 1)
    shares: Array = weights / weights.sum()
    return shares
