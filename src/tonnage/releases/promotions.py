"""Who is champion: decided by an append-only log, never by whoever wrote an alias last.

Every entry says which entry it was based on. Two people who promote at the same time append two entries;
the one that the registry numbered second was based on a state that no longer held, so it is void for every
reader, and its author is told. An interruption leaves an entry, which then holds, or none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tonnage.domain import ReleaseId

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

Action = Literal["promote", "rollback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of the champion.

    Attributes:
        number: position in the log, given by the registry.
        based_on: number of the last entry that its author knew to hold; 0 for an empty log.
        release: who becomes champion.
        at: when, UTC.
        by: who did it.
        reason: why, in words; never empty where a rejected release was forced.
    """

    number: int
    based_on: int
    action: Action
    release: ReleaseId
    at: datetime
    by: str
    reason: str


def in_force(log: Sequence[Entry]) -> list[Entry]:
    """The entries that hold, oldest first: each was based on the one before it that holds."""
    held: list[Entry] = []
    for entry in sorted(log, key=lambda each: each.number):
        if entry.based_on == head(held):
            held.append(entry)
    return held


def head(held: Sequence[Entry]) -> int:
    """Number of the last entry that holds, 0 for none: what the next entry must be based on."""
    return held[-1].number if held else 0


def champions(log: Sequence[Entry]) -> list[ReleaseId]:
    """The champion, last, after those that a rollback would return to, one after the other."""
    standing: list[ReleaseId] = []
    for entry in in_force(log):
        if entry.action == "promote":
            standing.append(entry.release)
        else:
            standing.pop()
    return standing


def aliases(
    log: Sequence[Entry], versions: Mapping[ReleaseId, int], accepted: Collection[ReleaseId]
) -> dict[str, ReleaseId | None]:
    """Which release each alias belongs to; None where it belongs to none.

    The challenger is the newest accepted release, unless it or a newer one was champion before: a release
    that was rolled back does not offer itself again.

    Args:
        log: every entry.
        versions: version number of every release; a higher one was registered later.
        accepted: the releases that beat their baselines.
    """
    standing = champions(log)
    newest = max(accepted, key=lambda release: versions[release], default=None)
    last_promoted = max((versions.get(entry.release, 0) for entry in in_force(log)), default=0)
    challenges = newest is not None and versions[newest] > last_promoted
    return {
        CHAMPION: standing[-1] if standing else None,
        PREVIOUS: standing[-2] if len(standing) > 1 else None,
        CHALLENGER: newest if challenges else None,
    }
