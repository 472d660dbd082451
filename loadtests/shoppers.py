"""What people in front of a recommender ask for and take for an answer, whoever asks it for them."""

import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from people import Known, Popular

PATH = "/v1/recommendations"

SEED = 20111109
"""Of the people's choices: every run asks the same."""


def known_users(project: Path) -> list[str]:
    """Ids of the users in a project's data; without them, everybody is new."""
    file = project / "build" / "data" / "interactions.parquet"
    if not file.exists():
        return []
    users: list[str] = pc.unique(pq.read_table(file, columns=["user_id"])["user_id"]).to_pylist()
    return users


def wish(
    chance: random.Random, known: Sequence[str], *, slate: int
) -> tuple[dict[str, object], dict[str, str]]:
    """One request: its body and its headers.

    Nine in ten people are known, one in twenty is new to the shop, one in twenty says nothing of herself.

    Args:
        chance: decides.
        known: ids of users.
        slate: how many items are asked for.
    """
    kind = chance.random()
    if kind < 0.9 and known:
        user = chance.choice(known)
    elif kind < 0.95:
        user = f"new-{chance.randrange(10**6)}"
    else:
        return {"k": slate}, {}
    return {"k": slate, "user_id": user}, {"x-user-id": user}


def complaint(told: Mapping[str, Any], *, least: int, barred: Collection[str] = ()) -> str:
    """What is wrong with a slate; empty for a good one. Pure.

    Args:
        told: the answer.
        least: items that there have to be.
        barred: items that were not to be in it.
    """
    if len(told["items"]) < least:
        return "a short slate"
    if told.get("fallback"):
        return f"fallback {told['fallback']}"
    if barred and not set(barred).isdisjoint(each["item_id"] for each in told["items"]):
        return "an item that was to be left out"
    return ""


def known_shop(project: Path, *, zipf: float, seed: int) -> Known:
    """What a project's data say of its people and of its items; nothing without data.

    Args:
        project: its directory.
        zipf: exponent of the law by which users return; 0 for as often as each has bought.
        seed: of that law's ranks.
    """
    data = project / "build" / "data"
    if not (data / "interactions.parquet").exists():
        return Known()
    seen = _counts(pq.read_table(data / "interactions.parquet", columns=["user_id"])["user_id"])
    users = Popular.zipf(list(seen), zipf, seed) if zipf else Popular.counted(seen)
    if not (data / "items.parquet").exists():
        return Known(users)
    items = pq.read_table(data / "items.parquet", columns=["category", "price"])
    # A column without a single value has no type either.
    categories = _counts(items["category"].cast(pa.string()).drop_null())
    prices: list[float] = items["price"].cast(pa.float64()).drop_null().sort().to_pylist()
    return Known(users, Popular.counted(categories) if categories else None, prices, len(items))


def _counts(values: pa.ChunkedArray) -> dict[str, int]:
    return {each["values"]: each["counts"] for each in pc.value_counts(values).to_pylist()}
