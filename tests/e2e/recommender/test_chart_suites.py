"""The chart's own suites, and its largest rendering, before anything is installed."""

from pathlib import Path

from tonnage.deployment.access import ClusterAccess, run
from tonnage.deployment.config import own_chart

ROOT = Path(__file__).resolve().parents[3]


def test_the_charts_suites_pass(cluster: ClusterAccess):
    assert cluster.helm_unittest is not None
    said = run([cluster.helm_unittest, "--strict", str(own_chart())], timeout_s=120)
    assert " failed" not in said.split("Charts:")[1]


def test_the_chart_lints_without_a_warning(cluster: ClusterAccess):
    values = own_chart() / "ci" / "two-tracks-values.yaml"
    cluster.run_helm("lint", "--strict", str(own_chart()), "--values", str(values))


def test_the_api_server_takes_every_object_of_two_tracks(cluster: ClusterAccess):
    """Helm checks templates; only the API server knows every field of every kind."""
    values = own_chart() / "ci" / "two-tracks-values.yaml"
    rendered = cluster.run_helm("template", "shop", str(own_chart()), "--values", str(values), "--skip-tests")
    arguments = ("apply", "--namespace", "default", "--dry-run=server", "--filename", "-")
    said = cluster.run_kubectl(*arguments, stdin=rendered)
    assert said.count("(server dry run)") == rendered.count("\nkind: ")


def test_the_example_gateway_is_taken_by_the_api_server(cluster: ClusterAccess):
    manifest = ROOT / "manifests" / "gateway" / "gateway.yaml"
    said = cluster.run_kubectl(
        "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", str(manifest)
    )
    assert said.count("serverside-applied (server dry run)") == 4
