"""A capacity plan is a values file that Helm takes for this chart."""

from pathlib import Path

import yaml
from tests.factories.simulated_service import MIB, Retriever

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import own_chart
from tonnage.load.plan_values import values_of, write_plan
from tonnage.load.planning import Demand, plan
from tonnage.load.walking import walk


def test_helm_renders_the_plan_into_pods_and_autoscalers(cluster: ClusterAccess, tmp_path: Path):
    """Helm checks every value by the chart's schema; an unknown one fails the upgrade."""
    service = Retriever(items=1_000_000, requests=500)
    large = service.place("hnsw-f32", MIB).needed_bytes
    names = ("hnsw-f32", "hnsw-i8")
    # Dear CPU takes the faster index, which the memory plan would not: so it is named.
    places = [service.place(name, large) for name in names]
    line = walk(service.line(), places, service, seconds=1, keep=lambda _: None)
    made = plan(line, Demand(rate=2000, cpu_price=1, gib_price=0))
    assert made.pinned
    file = tmp_path / "values-plan.yaml"
    write_plan(made, file)
    tracks = own_chart() / "ci" / "two-tracks-values.yaml"
    arguments = ("--values", str(tracks), "--values", str(file))
    cluster.run_helm("lint", "--strict", str(own_chart()), *arguments)
    rendered = list(yaml.safe_load_all(cluster.run_helm("template", "shop", str(own_chart()), *arguments)))
    for bento, values in values_of(made).items():
        if bento == "gateway":
            continue
        [scaler] = [
            each["spec"]
            for each in rendered
            if each
            and each["kind"] == "HorizontalPodAutoscaler"
            and each["metadata"]["name"] == f"shop-stable-{bento}"
        ]
        assert scaler["minReplicas"] == values["replicas"]
        assert scaler["maxReplicas"] == values["autoscaling"]["maxReplicas"]
        [pods] = [
            each["spec"]["template"]["spec"]
            for each in rendered
            if each and each["kind"] == "Deployment" and each["metadata"]["name"] == f"shop-stable-{bento}"
        ]
        [container] = [each for each in pods["containers"] if each["name"] == bento]
        assert container["resources"] == values["resources"]
