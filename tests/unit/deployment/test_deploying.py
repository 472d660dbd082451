"""What is told to Helm, and to the person."""

from pathlib import Path

import pytest

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.config import DeploymentConfig
from tonnage.deployment.deploying import Deployed, commands
from tonnage.deployment.helm import began, upgrade_arguments
from tonnage.errors import ConfigError


def arguments(version: str) -> list[str]:
    return upgrade_arguments(
        version,
        name="shop",
        namespace="shop",
        chart=Path("chart"),
        values=[Path("cluster.yaml"), Path("own.yaml")],
        settings={"checks.knownUser": "user,with=signs"},
        timeout_s=90,
    )


def test_later_values_win():
    told = arguments("v4.3.1")
    assert told.index("cluster.yaml") < told.index("own.yaml")


def test_a_users_id_is_never_read_as_helm_syntax():
    """`--set` would split an id at its comma and make two values of it."""
    told = arguments("v4.3.1")
    assert told[told.index("--set-literal") + 1] == "checks.knownUser=user,with=signs"


@pytest.mark.parametrize(("version", "forced"), [("v3.18.4", False), ("v4.3.1", True)])
def test_helm_4_takes_back_what_an_undo_left_to_kubectl(version: str, forced: bool):
    """Without it, the first upgrade after `kubectl rollout undo` stops; Helm 3 has no such flag."""
    assert ("--force-conflicts" in arguments(version)) is forced


def test_when_another_helm_began_is_read_in_any_timezone():
    """An hour wrong, and a Helm that still works would be taken for one that was killed."""
    assert began("2026-01-31 00:47:24.044246456 +0100 CET").isoformat() == "2026-01-30T23:47:24+00:00"


def test_a_command_line_wins_over_the_file():
    config = DeploymentConfig(name="shop", timeout_s=60).overridden(
        root=Path("/p"), name="fair", timeout_s=None
    )
    assert (config.name, config.timeout_s) == ("fair", 60)


def test_paths_of_the_file_are_relative_to_it_and_those_of_the_command_line_are_not():
    config = DeploymentConfig(values=(Path("a.yaml"),), chart=Path("chart")).overridden(
        root=Path("/p"), values=[Path("b.yaml")]
    )
    assert config.values == (Path("/p/a.yaml"), Path("b.yaml"))
    assert config.chart == Path("/p/chart")


def test_a_name_that_kubernetes_would_refuse_is_refused_before_anything_is_done():
    with pytest.raises(ConfigError, match="name"):
        DeploymentConfig().overridden(root=Path(), name="Shop_1")


def test_the_commands_are_ready_for_a_shell():
    access = ClusterAccess(
        kubeconfig=Path("/k c"),
        kubectl="/opt/bin/kubectl",
        helm="/opt/bin/helm",
        gateway_url="http://127.0.0.1:30080",
    )
    deployed = Deployed(name="shop", namespace="ns", known_user="12347", users=1, host="shop.example")
    lines = commands(access, deployed)
    assert lines[:2] == ["export KUBECONFIG='/k c'", "export PATH=/opt/bin:$PATH"]
    assert [line.split()[0] for line in lines[2:]] == ["kubectl", "kubectl", "helm", "kubectl", "curl"]
    assert lines[-1] == (
        "curl --header 'host: shop.example' --header 'x-user-id: 12347' "
        '--json \'{"user_id": "12347", "k": 10}\' http://127.0.0.1:30080/v1/recommendations'
    )


def test_nobody_is_told_to_ask_a_gateway_whose_address_is_unknown():
    deployed = Deployed(name="shop", namespace="ns", known_user="12347", users=1)
    assert not any(line.startswith("curl") for line in commands(ClusterAccess(), deployed))


def test_what_kubectl_remembers_of_a_cluster_lies_where_the_cluster_does(tmp_path: Path):
    """In the home directory it would outlive the cluster, and be read for the next one at its address."""
    access = ClusterAccess(kubectl="sh", cache=tmp_path)
    assert access.run_kubectl("-c", "printf %s $KUBECACHEDIR") == str(tmp_path)
