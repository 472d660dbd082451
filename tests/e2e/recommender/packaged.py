"""What the tests of this folder sail with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A release whose images are in the cluster."""

    release: str
    values: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Voyage:
    """Two releases of the same data, and who is in it.

    Args:
        first: the release of the project, as `tonnage up` makes it.
        second: another one of the same data.
        features: the feature rows.
        users: some whose history the features hold.
        item: one that the first release knows.
    """

    first: Packaged
    second: Packaged
    features: Path
    users: tuple[str, ...]
    item: str
