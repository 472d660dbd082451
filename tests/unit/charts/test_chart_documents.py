"""Each chart's values, their schema and its README say the same."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tonnage.load.slo import Slo

CHARTS = Path(__file__).resolve().parents[3] / "charts"
RECOMMENDER, LOADTEST = CHARTS / "recommender", CHARTS / "loadtest"

each_chart = pytest.mark.parametrize("chart", [RECOMMENDER, LOADTEST], ids=lambda chart: chart.name)


@pytest.fixture(scope="module")
def document() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document", CHARTS / "document.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each_chart
def test_the_readme_is_the_one_that_the_values_give(document: ModuleType, chart: Path):
    """Otherwise run `python charts/document.py charts/*/`."""
    assert (chart / "README.md").read_text(encoding="utf-8") == document.documented(chart)


def test_a_value_without_a_description_is_refused(document: ModuleType):
    with pytest.raises(SystemExit, match=r"nothing describes redis\.size"):
        document.table("redis:\n  # -- Run one.\n  enabled: true\n  size: 1Gi\n")


def test_a_description_belongs_to_the_key_below_it_and_to_no_other(document: ModuleType):
    text = "a:\n  # -- First,\n  # and more.\n  b: 1\n  # -- Second.\n  c: {d: 2}\n# -- Third.\ne: 3\n"
    assert document.descriptions(text) == {
        ("a", "b"): "First, and more.",
        ("a", "c"): "Second.",
        ("e",): "Third.",
    }


def schema(chart: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((chart / "values.schema.json").read_text(encoding="utf-8"))
    return read


@each_chart
def test_every_value_stands_in_the_schema_and_the_other_way_round(chart: Path):
    """A key in one only is either refused or unheard of."""
    values = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    assert values.keys() == schema(chart)["properties"].keys()


@each_chart
def test_the_schema_refuses_unknown_keys_wherever_it_knows_some(chart: Path):
    """A misspelt value would be ignored in silence."""

    def open_objects(node: object, where: str) -> list[str]:
        if isinstance(node, list):
            return [each for i, one in enumerate(node) for each in open_objects(one, f"{where}/{i}")]
        if not isinstance(node, dict):
            return []
        is_object = isinstance(node.get("properties"), dict) and "object" in (node.get("type") or ())
        here = [where] if is_object else []
        here = [each for each in here if node.get("additionalProperties") is not False]
        return here + [each for key, one in node.items() for each in open_objects(one, f"{where}/{key}")]

    assert open_objects(schema(chart), "") == []


def test_a_text_of_many_lines_is_counted_and_not_shown(document: ModuleType):
    """It would burst the table."""
    assert "| `2 lines in values.yaml` | An objective. |" in document.table(
        "# -- An objective.\nslo: |\n  a\n  b\n"
    )


def test_the_objective_of_the_load_test_is_the_projects_own_as_far_as_its_rights_reach():
    """Without the right to ask kubelets, an objective that asks for throttling could never be judged."""
    values = yaml.safe_load((LOADTEST / "values.yaml").read_text(encoding="utf-8"))
    own = Slo.open(CHARTS.parent / "loadtests" / "slo" / "recommendations.toml")
    assert values["rbac"]["nodes"] is False
    without = own.server.model_copy(update={"throttled_share": None})
    assert Slo.read(tomllib.loads(values["slo"]), where="slo") == own.model_copy(update={"server": without})


def test_the_behaviours_that_helm_test_asks_for_are_those_that_are_written():
    """A pod with a misspelt name would fail for the wrong reason, a forgotten one would never be asked."""
    source = (RECOMMENDER / "checks" / "behaviours.py").read_text(encoding="utf-8")
    written = re.findall(r"^def (\w+)\(\w+: str, \w+: str\) -> None", source, re.MULTILINE)
    templates = "".join(
        file.read_text(encoding="utf-8") for file in (RECOMMENDER / "templates/tests").iterdir()
    )
    assert sorted(re.findall(r'"behaviour" "(\w+)"', templates)) == sorted(written)
