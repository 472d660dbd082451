"""`tonnage release plan`: the same plan without a pod."""

import json

import pytest
from tests.factories.release import release
from typer.testing import CliRunner

from tonnage.cli.release import app
from tonnage.errors import ConfigError
from tonnage.serving.memory.plan import MemoryLimitError


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose latest release is a small one."""
    root = tmp_path_factory.mktemp("project")
    (root / "tonnage.toml").touch()
    made = release(root / "build" / "releases")
    (root / "build" / "releases" / ".latest").write_text(made.id)
    return root / "tonnage.toml"


def planned(project, *options):
    result = CliRunner().invoke(app, ["plan", "--project", str(project), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_script_reads_every_term_and_every_index(project):
    content = json.loads(planned(project, "--memory-limit", "512Mi", "--output", "json"))
    assert content["limit_bytes"] == 2**29
    assert content["chosen"] == "exact-f32"
    assert {each["name"] for each in content["terms"]} == {"processes", "reserve", "requests", "catalogue"}
    assert [each["verdict"] for each in content["indexes"]].count("chosen") == 1


def test_a_person_reads_where_the_figures_come_from(project):
    table = planned(project, "--memory-limit", "512Mi", "--hot-swap")
    assert "loadtests/memory.py" in table
    assert "replaced" in table


def test_what_does_not_fit_or_is_not_an_amount_is_refused(project):
    with pytest.raises(MemoryLimitError, match="the smallest limit that would do is"):
        planned(project, "--memory-limit", "16Mi")
    with pytest.raises(ConfigError, match="512Mi"):
        planned(project, "--memory-limit", "512MB")
