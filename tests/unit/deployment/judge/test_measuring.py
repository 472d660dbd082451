"""Samples and Kubernetes' objects, made measurements."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tonnage.deployment.judge.counters import Whose
from tonnage.deployment.judge.pods import began, containers, of_track
from tonnage.deployment.judge.prometheus import Prometheus, growth
from tonnage.errors import ConfigError

NAN = np.nan
SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ([5, 7, 7, 10], [2, 0, 3]),
        ([5, 7, 2, 4], [2, 2, 2]),
        ([5, NAN, NAN, 10], [0, 0, 5]),
        ([NAN, NAN, 4, 6], [0, 4, 2]),
        ([NAN, NAN, NAN, NAN], [0, 0, 0]),
    ],
    ids=["grows", "begins anew", "is away", "appears", "is never there"],
)
def test_a_counter_grows_by_what_was_counted(values: list[float], grown: list[int]):
    assert growth(np.array(values), np.ones(4, dtype=bool)).tolist() == grown


def test_a_counter_that_was_there_before_prometheus_is_not_counted_from_zero():
    """Or an hour of stable's requests would fall into one window."""
    alive = np.array([False, False, True, True])
    assert growth(np.array([NAN, NAN, 9000, 9003]), alive).tolist() == [0, 0, 3]


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop-canary-ranker-1",
            "labels": {"tonnage.dev/track": "canary"},
            "creationTimestamp": "2026-01-01T12:00:00Z",
        },
        "spec": {"containers": [{"name": "ranker", "resources": {"limits": {"memory": "768Mi"}}}]},
        "status": {"phase": "Running", **status},
    }


def ended(at: str) -> dict[str, Any]:
    last = {"terminated": {"reason": "OOMKilled", "finishedAt": at}}
    return {"containerStatuses": [{"name": "ranker", "restartCount": 2, "state": {}, "lastState": last}]}


def test_an_oomkill_since_the_canary_began_is_seen_and_an_older_one_is_not():
    new, old = (
        containers([pod(**ended(at))], since=SINCE, memory={("shop-canary-ranker-1", "ranker"): 5})[0]
        for at in ("2026-01-01T12:00:03Z", "2026-01-01T11:59:00Z")
    )
    assert (new.ended, new.restarts, new.memory, new.limit) == ("OOMKilled", 2, 5, 768 * 2**20)
    assert (old.ended, old.restarts) == ("", 0)


def test_an_evicted_pod_is_a_container_that_ended():
    assert containers([pod(phase="Failed", reason="Evicted")], since=SINCE, memory={})[0].ended == "Evicted"


def test_the_canary_began_with_its_first_living_pod():
    dead = pod(phase="Failed")
    dead["metadata"]["creationTimestamp"] = "2025-12-01T00:00:00Z"
    assert began(of_track([dead, pod()], {"tonnage.dev/track": "canary"})) == SINCE
    assert began(of_track([pod()], {"tonnage.dev/track": "blue"})) is None


def test_a_release_id_is_told_from_a_tracks_name():
    assert Whose(track="r-20260101-0123abcd", namespace="shop").label[0] == "release"
    assert Whose(track="canary", namespace="shop").label[0] == "track"


def test_what_is_no_address_is_refused():
    with pytest.raises(ConfigError, match="begins with http"):
        Prometheus("file:///etc/passwd")
