"""`tonnage release` on a project's own registry."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.factories.release import release
from typer.testing import CliRunner

from tonnage.cli import build
from tonnage.errors import InputError


@pytest.fixture
def run(tmp_path: Path):
    """Run the verb in a project of its own; returns what it prints as JSON."""
    (tmp_path / "tonnage.toml").write_text('[registry]\nmodel = "shop"\n')

    def run(*arguments: str) -> Any:
        options = ["--project", str(tmp_path / "tonnage.toml"), "--output", "json"]
        result = CliRunner().invoke(build(), ["release", *arguments, *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_a_person_registers_promotes_rolls_back_and_fetches(run: Any, tmp_path: Path):
    first, second = release(tmp_path / "made"), release(tmp_path / "made", seed=8)
    for each in (first, second):
        assert run("register", str(each.directory))["aliases"] == ["challenger"]
    run("promote", first.id, "--reason", "to begin with")
    run("promote", "challenger")
    assert [(each["id"], each["aliases"]) for each in run("list")] == [
        (second.id, ["champion"]),
        (first.id, ["previous"]),
    ]
    assert run("rollback", "--reason", "orders fell")["id"] == first.id
    assert [each["action"] for each in run("history")] == ["promote", "promote", "rollback"]
    assert run("show")["registered"]["id"] == first.id
    fetched = run("fetch")
    assert Path(fetched["directory"]) == tmp_path / "build" / "releases" / first.id
    assert (tmp_path / "build" / "mlflow" / "mlflow.db").exists()


def test_a_rejected_release_is_promoted_by_force_and_reason_only(run: Any, tmp_path: Path):
    made = release(tmp_path / "made", accepted=False)
    assert run("register", str(made.directory))["status"] == "rejected"
    with pytest.raises(InputError, match="--force and --reason"):
        run("promote", made.id)
    assert run("promote", made.id, "--force", "--reason", "shown to the board")["aliases"] == ["champion"]
