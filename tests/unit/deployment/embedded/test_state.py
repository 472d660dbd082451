"""The state directory goes away with the cluster, so nothing else may lie in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tonnage.deployment.embedded import cluster, requirements
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.errors import ConfigError
from tonnage.telemetry import Silent


@pytest.mark.parametrize("verb", [cluster.up, cluster.down])
def test_a_directory_with_something_else_in_it_is_left_alone(
    verb: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(requirements, "check_rights", lambda: None)
    monkeypatch.setattr(requirements, "provide_packages", lambda *_: None)
    precious = tmp_path / "state" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("years of work")
    where = {
        "TONNAGE_STATE_DIR": str(precious.parent),
        "XDG_CACHE_HOME": str(tmp_path),
        "HOME": str(tmp_path),
    }
    with pytest.raises(ConfigError, match=r"something else than a cluster .*TONNAGE_STATE_DIR"):
        verb(EmbeddedConfig.of(where), progress=Silent())
    assert precious.read_text() == "years of work"
