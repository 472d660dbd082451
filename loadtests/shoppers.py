"""What people in front of a recommender ask for, whoever asks it for them."""

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

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
