"""How people behave in a shop: who comes, what they ask for, what they do with what they are shown.

Everything here is drawn from a stream that the caller seeds, and nothing depends on an answer: what people do
with a slate is said by places in it. So the same seed is the same behaviour, whatever the shop answers.
"""

import bisect
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

SESSION_PAGES = 4.0
"""Slates of a session, on average."""

LOOKS = 1.5
"""Items looked at in a slate, on average."""

SIMILAR = 0.4
"""Share of the looks that go on to items like it; likewise `BUYS`."""

BUYS = 0.1
STOPS = 0.35
"""Chance of a look to be at the first place, at the second if not at the first, and so on."""

FEWEST, MOST = 0.05, 0.5
"""Share of the catalogue's prices that a range of prices spans."""


class Kind(StrEnum):
    """Who comes."""

    RETURNING = "returning"  # with a history
    NEW = "new"  # with an id that the shop has not seen
    COLD = "cold"  # without an id


@dataclass(frozen=True, slots=True)
class Popular:
    """Ids, some of which are drawn more often than others.

    Attributes:
        ids: most popular first.
        up_to: share of the draws that go to an id or to one before it; the last is 1.
    """

    ids: Sequence[str]
    up_to: Sequence[float]

    @classmethod
    def counted(cls, counts: Mapping[str, int]) -> "Popular":
        """By how often each was seen."""
        ids = sorted(counts, key=lambda each: (-counts[each], each))
        return cls._of(ids, [counts[each] for each in ids])

    @classmethod
    def zipf(cls, ids: Sequence[str], exponent: float, seed: int) -> "Popular":
        """By Zipf's law, weights 1 / rank ** exponent, over ranks that a seed hands out."""
        drawn = sorted(ids)
        random.Random(seed).shuffle(drawn)
        return cls._of(drawn, [rank**-exponent for rank in range(1, len(drawn) + 1)])

    @classmethod
    def _of(cls, ids: Sequence[str], weights: Sequence[float]) -> "Popular":
        total = float(sum(weights))
        return cls(ids, [so_far / total for so_far in itertools.accumulate(weights)])

    def draw(self, chance: random.Random) -> str:
        """One of them."""
        return self.ids[min(bisect.bisect(self.up_to, chance.random()), len(self.ids) - 1)]


@dataclass(frozen=True, slots=True)
class Known:
    """What a shop's data say of who comes and of what there is.

    Attributes:
        users: ids with a history; None without data.
        categories: of items; None where items have none.
        prices: of items, ascending; empty where items have none.
        items: how many there are; 0 without data.
    """

    users: Popular | None = None
    categories: Popular | None = None
    prices: Sequence[float] = ()
    items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What is the same for everybody.

    Attributes:
        think_s: seconds between two things that a person does, on average.
        filtered: share of the slates that are asked for with a filter.
    """

    think_s: float = 3.0
    filtered: float = 0.15


@dataclass(frozen=True, slots=True)
class Arrive:
    """A session begins.

    Attributes:
        user: who it is; empty for somebody without an id, and for a new one: whoever plays the session names
            her.
    """

    user: str = ""


@dataclass(frozen=True, slots=True)
class Slate:
    """Asks for a slate; what the session has shown already is left out of its later ones.

    Attributes:
        filters: as in the API; empty for none.
    """

    filters: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at the item at a place of the last slate."""

    place: int


@dataclass(frozen=True, slots=True)
class Similar:
    """Asks for items like the one at a place of the last slate."""

    place: int


@dataclass(frozen=True, slots=True)
class Buy:
    """Buys the item at a place of the last slate."""

    place: int
    quantity: int


Act = Arrive | Slate | Look | Similar | Buy


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a person does.

    Attributes:
        act: what.
        then_s: how long she thinks afterwards.
    """

    act: Act
    then_s: float


def life(kind: Kind, chance: random.Random, manners: Manners, known: Known) -> Iterator[Step]:
    """Session after session, for ever.

    Args:
        kind: of person; without data, nobody returns and those who would are new.
        chance: decides.
        manners: of everybody.
        known: of the shop.
    """
    while True:
        user = known.users.draw(chance) if kind is Kind.RETURNING and known.users else ""
        for act in itertools.chain([Arrive(user)], session(chance, manners, known)):
            # Nobody waits before the first slate.
            yield Step(act, 0.0 if isinstance(act, Arrive) else chance.expovariate(1 / manners.think_s))


def session(chance: random.Random, manners: Manners, known: Known) -> Iterator[Act]:
    """What one person does until she leaves: slates, and in each of them looks, similar items, purchases."""
    for _ in range(_many(chance, SESSION_PAGES)):
        yield Slate(filters(chance, known) if chance.random() < manners.filtered else {})
        for _ in range(_many(chance, 1 + LOOKS) - 1):
            place = _many(chance, 1 / STOPS) - 1
            yield Look(place)
            if chance.random() < SIMILAR:
                yield Similar(place)
            if chance.random() < BUYS:
                yield Buy(place, _many(chance, 2.0))


def filters(chance: random.Random, known: Known) -> dict[str, str | float]:
    """A filter of the API, by category or by price; empty for a shop that has neither."""
    ways = [way for way, there in (("category", known.categories), ("price", known.prices)) if there]
    if not ways:
        return {}
    if chance.choice(ways) == "category" and known.categories:
        return {"category": known.categories.draw(chance)}
    span = chance.uniform(FEWEST, MOST)
    low = chance.uniform(0, 1 - span)
    last = len(known.prices) - 1
    return {
        "price_min": known.prices[int(low * last)],
        "price_max": known.prices[int((low + span) * last)],
    }


def _many(chance: random.Random, mean: float) -> int:
    """A number from 1, geometric."""
    count = 1
    while chance.random() >= 1 / mean:
        count += 1
    return count
