"""One embedded cluster for the whole tier."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import cluster as embedded
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.telemetry import Spoken

STATE = Path.home() / ".local" / "state" / "tonnage" / "tests"
"""A place of its own, so that a cluster somebody works with stays as it is; always the same, so that the next
run finds and takes away what a killed run left."""


@pytest.fixture(scope="session")
def cluster_config() -> Iterator[EmbeddedConfig]:
    """The tests' cluster; `TONNAGE_STATE_DIR` lends them one that runs already, which then stays."""
    with pytest.MonkeyPatch.context() as patch:
        if "TONNAGE_STATE_DIR" not in os.environ:
            patch.setenv("TONNAGE_STATE_DIR", str(STATE))
        yield EmbeddedConfig.of(os.environ)


@pytest.fixture(scope="session")
def cluster(cluster_config: EmbeddedConfig) -> Iterator[ClusterAccess]:
    """A running cluster with all its add-ons; taken down at the end, if it was brought up here."""
    lent = embedded.status(cluster_config).running
    try:
        yield embedded.up(cluster_config, progress=Spoken())
    finally:
        if not lent:
            embedded.down(cluster_config, progress=Spoken())
