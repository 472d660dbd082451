"""`tonnage canary` on a real cluster: nobody's request fails, whatever happens to whoever runs it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.canary.operators import Operator, bridged
from tests.e2e.conftest import Kubectl
from tests.e2e.devcluster.waiting import eventually
from tests.e2e.packaged import Voyage
from tests.e2e.recommender.traffic import Shop, steady

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import deploy
from tonnage.errors import InputError
from tonnage.telemetry import Silent

NAME = "verbs-e2e"

Employ = Callable[..., Operator]


@pytest.fixture
def employ(cluster: ClusterAccess, config: DeploymentConfig, shop: Shop, tmp_path: Path) -> Iterator[Employ]:
    """Somebody with settings of his own; at the end no canary is left."""
    assert shop
    made: list[Operator] = []

    def operator(kubeconfig: Path | None = None, **canary: object) -> Operator:
        file = tmp_path / f"tonnage-{len(made)}.toml"
        where = {"name": config.name, "namespace": config.namespace, "timeout_s": 400}
        where["kubeconfig"] = str(kubeconfig or cluster.kubeconfig)
        walked = {"steps": [20, 100], "window_s": 5, "history_s": 30, "prometheus": cluster.prometheus_url}
        tables = {"deployment": where, "canary": {**walked, **canary}}
        # Strings, numbers and lists look the same in JSON.
        file.write_text(
            "\n".join(
                f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
                for name, table in tables.items()
            )
        )
        made.append(Operator(project=file, tools=Path(cluster.helm).parent))
        return made[-1]

    yield operator
    for each in made:
        each.leaves()
    operator().does("abort")


def stable_of(kubectl: Kubectl) -> str:
    """The release to which stable's recommenders roll."""
    template = "jsonpath={.spec.template.metadata.labels.tonnage\\.dev/release}"
    return kubectl("get", f"deployment/{NAME}-stable-recommender", "--output", template)


def test_a_release_is_promoted_though_the_promotion_is_killed_and_no_request_fails(
    cluster: ClusterAccess,
    config: DeploymentConfig,
    shop: Shop,
    voyage: Voyage,
    employ: Employ,
    kubectl: Kubectl,
):
    operator = employ()
    second = str(voyage.second.values)
    with steady(shop, voyage.users) as traffic:
        started = operator.does("start", second, "--weight", "30")
        assert started.code == 0, started
        assert (started.json["canary"], started.json["weight"]) == (voyage.second.release, 30)
        other = operator.does("start", str(voyage.first.values), "--same")
        assert other.code == 3
        assert f"a canary runs already: release {voyage.second.release} at 30 %" in other.told
        with pytest.raises(InputError, match=f"a canary runs: release {voyage.second.release} at 30 %"):
            deploy(cluster, config, values=[voyage.first.values], features=voyage.features, progress=Silent())
        stepped = operator.does("step")
        assert stepped.code == 0, stepped
        assert stepped.json["weight"] == 100
        promotion = operator.starts("promote")
        eventually(lambda: stable_of(kubectl) == voyage.second.release)
        promotion.killed()
        assert "promote is under way" in operator.does("step", "10").told
        promoted = operator.does("promote")
        assert promoted.code == 0, promoted
        assert promoted.json["outcome"] == "promoted"
        assert (promoted.json["stable"], promoted.json["canary"]) == (voyage.second.release, None)
        assert {shop.slate(user).track for user in voyage.users} == {"stable"}
    assert traffic.failures == []
    assert traffic.fallbacks == []
    assert traffic.releases == {voyage.first.release, voyage.second.release}
    assert shop.ask("/v1/release").body["id"] == voyage.second.release


def test_an_abort_in_the_middle_of_a_promotion_puts_stable_back(
    shop: Shop, voyage: Voyage, employ: Employ, kubectl: Kubectl
):
    operator = employ()
    runs = shop.ask("/v1/release").body["id"]
    candidate = voyage.first if runs == voyage.second.release else voyage.second
    with steady(shop, voyage.users) as traffic:
        started = operator.does("start", str(candidate.values))
        assert started.code == 0, started
        promotion = operator.starts("promote")
        eventually(lambda: stable_of(kubectl) == candidate.release)
        aborted = operator.does("abort")
        assert aborted.code == 0, aborted
        taken = promotion.ended()
        assert (taken.code, "in the hands of" in taken.told) == (3, True), taken
    assert traffic.failures == []
    assert (aborted.json["stable"], aborted.json["canary"]) == (runs, None)
    assert stable_of(kubectl) == runs
    assert shop.ask("/v1/release").body["id"] == runs


def test_a_run_outlives_its_neighbours_and_aborts_when_a_container_ends(
    cluster: ClusterAccess, shop: Shop, voyage: Voyage, employ: Employ, kubectl: Kubectl, tmp_path: Path
):
    """One canary: Prometheus away, then the API server, then a second operator, then its ranker dies."""
    runs = shop.ask("/v1/release").body["id"]
    candidate = voyage.first if runs == voyage.second.release else voyage.second
    blind = employ(prometheus="http://127.0.0.1:9", patience_s=3)
    patient = employ(step_s=600)
    with steady(shop, voyage.users) as traffic:
        unmeasured = blind.does("run", str(candidate.values))
        assert (unmeasured.code, unmeasured.json["outcome"]) == (3, "error"), unmeasured
        assert unmeasured.json["weight"] == 20
        assert "Prometheus does not answer" in unmeasured.json["says"]

        assert cluster.kubeconfig is not None
        with bridged(cluster.kubeconfig, tmp_path) as (kubeconfig, bridge):
            remote = employ(kubeconfig=kubeconfig, patience_s=3, step_s=600)
            run = remote.starts("run")
            eventually(lambda: holder(patient) is not None)
            bridge.cut()
            away = run.ended()
        assert (away.code, away.json["outcome"]) == (3, "error"), away
        assert "connect" in away.told or "refused" in away.told

        run = patient.starts("run", str(candidate.values))
        pid = f"process {run.process.pid}"
        eventually(lambda: pid in (holder(patient) or ""))
        second = patient.does("step", "100")
        assert (second.code, pid in second.told) == (3, True), second
        eventually(lambda: status(patient)["judged"])

        ends = "import os; os.kill(1, 15)"
        kubectl("exec", f"deployment/{NAME}-canary-ranker", "--", "python", "-c", ends)
        died = time.monotonic()
        aborted = run.ended()
        assert (aborted.code, aborted.json["outcome"]) == (1, "aborted"), aborted
        assert "restarts: ranker of pod" in aborted.json["says"]
        assert time.monotonic() - died < 60
        assert (aborted.json["stable"], aborted.json["canary"]) == (runs, None)
    assert traffic.failures == []


def status(operator: Operator) -> Any:
    return operator.does("status").json


def holder(operator: Operator) -> str | None:
    return status(operator)["holder"]
