"""More than a shop can carry: answered or refused, and nobody dies of it."""

from typing import Any

from tests.e2e.packaged import Voyage
from tests.e2e.recommender.flood import flood
from tests.e2e.recommender.traffic import Shop

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig

TIMES = 4
CONNECTIONS = 300
"""More than may wait inside, so that the bounds of the queue are met."""


def deaths(cluster: ClusterAccess, config: DeploymentConfig) -> dict[str, Any]:
    """What ended so far, by pod: nothing, if all is well."""
    mine = f"app.kubernetes.io/instance={config.name}"
    listed: Any = cluster.get("pods", "--namespace", config.namespace, "--selector", mine)
    return {
        pod["metadata"]["name"]: container["lastState"]
        for pod in listed["items"]
        for container in pod["status"]["containerStatuses"]
        if container["restartCount"]
    }


def test_several_times_what_it_sustains_is_answered_or_refused_and_kills_nobody(
    cluster: ClusterAccess, config: DeploymentConfig, shop: Shop, voyage: Voyage
):
    """A refusal that does not say when to come back is tried again at once, and makes the overload last."""
    sustained = flood(shop, voyage.users, connections=4, seconds=5)
    assert set(sustained.statuses) == {200}
    over = flood(shop, voyage.users, connections=CONNECTIONS, seconds=20, rate=TIMES * sustained.goodput)
    assert over.bare == []
    assert set(over.statuses) == {200, 503}, over.statuses
    assert over.goodput >= 0.5 * sustained.goodput
    after = flood(shop, voyage.users, connections=4, seconds=5)
    assert after.goodput >= 0.5 * sustained.goodput
    assert deaths(cluster, config) == {}
