"""What a service reads of its environment."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tonnage.errors import ConfigError
from tonnage.packaging import runtime
from tonnage.serving.clock import clock_for
from tonnage.serving.environment import Environment


def test_variables_become_fields():
    environment = Environment.read(
        {"TONNAGE_RELEASE_DIR": "/r", "TONNAGE_DEADLINE_MS": "80", "TONNAGE_TRACK": "canary"}
    )
    assert environment.release_dir == Path("/r")
    assert (environment.deadline_ms, environment.track) == (80.0, "canary")


def test_images_hold_the_release_where_a_service_looks_for_it():
    """Packaging and serving cannot ask each other: images hold no packaging, and packaging comes first."""
    told = Environment.read(runtime.VARIABLES)
    assert told.release_dir == Environment().release_dir == Path(runtime.RELEASE)


def test_a_value_that_cannot_be_is_named():
    with pytest.raises(ConfigError, match="TONNAGE_DEADLINE_MS"):
        Environment.read({"TONNAGE_DEADLINE_MS": "soon"})


def test_variables_that_kubernetes_invents_do_no_harm():
    """A Service named `tonnage-x` puts TONNAGE_X_SERVICE_HOST into every pod of its namespace."""
    assert Environment.read({"TONNAGE_X_SERVICE_HOST": "10.0.0.1"}) == Environment()


def test_the_clock_of_a_replay_starts_where_the_data_end():
    """Against today's date every user of 2011 would look gone for fifteen years."""
    until = datetime(2011, 12, 9, tzinfo=UTC)
    now = clock_for(replay=True, until=until)
    assert 0 <= now() - until.timestamp() < 60
    assert clock_for(replay=False, until=until)() > datetime(2026, 1, 1, tzinfo=UTC).timestamp()
