"""Every query of the dashboard and of the alerts has an answer in a living Prometheus."""

import json
import re
from collections.abc import Iterator
from math import isnan
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml
from tests.e2e.canary.conftest import Share
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.traffic import Shop, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import own_chart

NAME = "by-sight"
WINDOW = "1m"
RECORDED = "tonnage:track_weight:percent"


@pytest.fixture(scope="module")
def asked(shop: Shop, voyage: Voyage) -> Iterator[None]:
    """Steady traffic while the tests of this file look."""
    with steady(shop, voyage.users):
        yield


@pytest.fixture
def two_tracks(share: Share, shop: Shop) -> None:
    share(40)
    for number in range(20):
        assert shop.slate(f"visitor-{number}").status == 200


def rendered(cluster: ClusterAccess, template: str, name: str, *settings: str) -> Any:
    """One object of the chart with two tracks, as Helm renders it."""
    values = own_chart() / "ci" / "two-tracks-values.yaml"
    arguments = ["template", name, str(own_chart()), "--namespace", NAME, "--values", str(values)]
    chosen = [part for setting in settings for part in ("--set", setting)]
    return yaml.safe_load(cluster.run_helm(*arguments, "--show-only", f"templates/{template}", *chosen))


def rules_of(cluster: ClusterAccess, name: str = NAME, **thresholds: float) -> list[dict[str, Any]]:
    settings = [f"monitoring.rules.{key}={value}" for key, value in thresholds.items()]
    rule = rendered(cluster, "prometheusrule.yaml", name, "monitoring.rules.enabled=true", *settings)
    return [each for group in rule["spec"]["groups"] for each in group["rules"]]


def as_recorded(expression: str, rules: list[dict[str, Any]]) -> str:
    """The expression with what the rules record put in place of its name: nobody evaluates rules here."""
    recorded = []
    for rule in rules:
        value = rule["expr"]
        for label, held in rule["labels"].items() if "record" in rule else ():
            value = f'label_replace({value}, "{label}", "{held}", "", "")'
        recorded += [value] if "record" in rule else []
    return re.sub(rf"{RECORDED}\{{[^}}]*\}}", f"({' or '.join(recorded)})", expression)


def answer(cluster: ClusterAccess, expression: str) -> list[Any]:
    """What Prometheus has for it now."""
    url = f"{cluster.prometheus_url}/api/v1/query?{urlencode({'query': expression})}"
    with urlopen(url, timeout=10) as said:  # noqa: S310
        found: list[Any] = json.load(said)["data"]["result"]
    return found


def values(cluster: ClusterAccess, expression: str) -> dict[str, float]:
    return {each["metric"].get("track", ""): float(each["value"][1]) for each in answer(cluster, expression)}


def panels(cluster: ClusterAccess) -> dict[str, list[str]]:
    """The queries of every panel, for this shop."""
    held = rendered(cluster, "dashboards.yaml", NAME, "monitoring.dashboards.enabled=true")
    (text,) = held["data"].values()
    board = json.loads(text)
    variables = {each["name"]: each["query"] for each in board["templating"]["list"]}
    variables["__rate_interval"] = WINDOW
    found = {}
    for panel in board["panels"]:
        queries = [target["expr"] for target in panel.get("targets", ())]
        found[panel["title"]] = [
            re.sub(r"\$(\w+)", lambda name: variables[name[1]], each) for each in queries
        ]
    return {title: queries for title, queries in found.items() if queries}


@pytest.mark.usefixtures("asked", "two_tracks")
def test_every_panel_shows_both_tracks(cluster: ClusterAccess):
    """A panel of a metric that was renamed stays empty, and looks like a quiet shop."""
    rules = rules_of(cluster)
    found = panels(cluster)
    assert len(found) == 20
    for title, queries in found.items():
        for query in queries:

            def shown(query: str = as_recorded(query, rules), title: str = title) -> bool:
                numbers = values(cluster, query)
                assert set(numbers) == {"stable", "canary"}, f"{title}: {numbers}"
                return not any(isnan(number) for number in numbers.values())

            eventually(shown, within_s=90)


@pytest.mark.usefixtures("asked", "two_tracks")
def test_the_slates_of_equal_tracks_look_equal(cluster: ClusterAccess):
    """Overlap and coverage are computed by queries that nothing else computes."""
    found = panels(cluster)
    overlap, coverage = (
        values(cluster, found[title][0]) for title in ("Overlap with stable", "Item coverage")
    )
    assert overlap["stable"] == pytest.approx(1)
    assert 0.3 < overlap["canary"] <= 1
    assert all(1 < number <= 64 for number in coverage.values())


@pytest.mark.usefixtures("asked", "two_tracks")
def test_no_alert_goes_off_in_a_healthy_shop_and_each_would_past_its_threshold(cluster: ClusterAccess):
    """An alert that could never go off is quiet too, and believed."""
    # Two cores carry all of this: how fast, and what is left out for it, is not what is looked at.
    rules = rules_of(cluster, p99Seconds=5, fallbackPercent=50)
    alerts = {each["alert"]: as_recorded(each["expr"], rules) for each in rules if "alert" in each}
    assert len(alerts) == 9
    assert {name: found for name, each in alerts.items() if (found := answer(cluster, each))} == {}
    del alerts["TonnageTrackHasNoPods"]
    for expression in alerts.values():
        lowered, thresholds = re.subn(r"> [\d.]+\s*$", "> -1", expression)
        assert thresholds == 1
        eventually(lambda lowered=lowered: answer(cluster, lowered))


def test_a_track_with_users_and_no_recommender_is_told(cluster: ClusterAccess):
    rules = rules_of(cluster, name="a-shop-that-is-not-there")
    (expression,) = (each["expr"] for each in rules if each.get("alert") == "TonnageTrackHasNoPods")
    assert values(cluster, as_recorded(expression, rules)) == {"stable": 90, "canary": 10}
