"""What the tests of this tier sail with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tonnage.releases.release import open_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A release whose images are in the cluster.

    Args:
        release: its id.
        values: the Helm values that pin its images.
        loadtest: those that pin the image of its load test, if that was made.
    """

    release: str
    values: Path
    loadtest: Path | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """A release whose index variants differ by tens of megabytes, in a project that `tonnage deploy` takes.

    Args:
        project: its `tonnage.toml`.
        release: id of the release.
        values: the Helm values that packaging wrote.
        own_values: what fits a shop that is a retriever and nothing else.
        name: of the Helm release and of its namespace.
    """

    project: Path
    release: str
    values: Path
    own_values: Path
    name: str

    def vectors(self) -> NDArray[np.float32]:
        """The item vectors, as they were trained."""
        found = open_release(self.project.parent / "build" / "releases" / self.release, verify=False)
        return np.asarray(found.item_vectors)
