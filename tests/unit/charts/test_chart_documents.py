"""The chart's values, their schema and its README say the same."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

CHARTS = Path(__file__).resolve().parents[3] / "charts"
CHART = CHARTS / "recommender"


@pytest.fixture(scope="module")
def document() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document", CHARTS / "document.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_the_one_that_the_values_give(document: ModuleType):
    """Otherwise run `python charts/document.py charts/recommender`."""
    assert (CHART / "README.md").read_text(encoding="utf-8") == document.documented(CHART)


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


def schema() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return read


def test_every_value_stands_in_the_schema_and_the_other_way_round():
    """A key in one only is either refused or unheard of."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values.keys() == schema()["properties"].keys()


def test_the_schema_refuses_unknown_keys_wherever_it_knows_some():
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

    assert open_objects(schema(), "") == []


def test_the_behaviours_that_helm_test_asks_for_are_those_that_are_written():
    """A pod with a misspelt name would fail for the wrong reason, a forgotten one would never be asked."""
    source = (CHART / "checks" / "behaviours.py").read_text(encoding="utf-8")
    written = re.findall(r"^def (\w+)\(\w+: str, \w+: str\) -> None", source, re.MULTILINE)
    templates = "".join(file.read_text(encoding="utf-8") for file in (CHART / "templates/tests").iterdir())
    assert sorted(re.findall(r'"behaviour" "(\w+)"', templates)) == sorted(written)
