"""Where a cluster's addresses come from."""

import socket
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.deployment.embedded.network import CANDIDATES, Addresses, free_network, free_port
from tonnage.errors import ClusterError

networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(min_value=int(IPv4Address("10.0.0.0")), max_value=int(IPv4Address("10.255.255.255"))),
    st.integers(min_value=12, max_value=32),
)


@given(st.lists(networks, max_size=6))
def test_a_network_in_use_is_never_taken(routes: list[IPv4Network]) -> None:
    """Taking an office network would cut a person off from it."""
    try:
        chosen = free_network(map(str, routes))
    except ClusterError:
        assert all(any(candidate.overlaps(route) for route in routes) for candidate in CANDIDATES)
    else:
        assert not any(chosen.overlaps(route) for route in routes)


def test_words_of_the_routing_table_are_no_obstacle() -> None:
    assert free_network(["default", "127.0.0.1", "192.168.1.0/24"]) == CANDIDATES[0]


@given(st.sampled_from(CANDIDATES))
def test_pods_services_and_node_have_addresses_of_their_own(network: IPv4Network) -> None:
    """One address in two ranges would send a Service's packets to the cable."""
    addresses = Addresses(str(network), 8088, 9098)
    pods, services = IPv4Network(addresses.pods), IPv4Network(addresses.services)
    assert not pods.overlaps(services)
    assert all(IPv4Address(single) in services for single in (addresses.api, addresses.dns))
    for single in (IPv4Address(addresses.node), IPv4Address(addresses.host)):
        assert single in network
        assert single not in pods
        assert single not in services
    cable = IPv4Network(f"{addresses.node}/30", strict=False)
    assert {IPv4Address(addresses.node), IPv4Address(addresses.host)} == set(cable.hosts())


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match="no port"):
            free_port([port])


def test_a_resumed_cluster_finds_its_addresses(tmp_path: Path) -> None:
    """Another network after an interrupted start would not fit the certificates."""
    addresses = Addresses("10.200.0.0/16", 8090, 9100)
    addresses.write(tmp_path / "state" / "addresses.json")
    assert Addresses.read(tmp_path / "state" / "addresses.json") == addresses
    assert Addresses.read(tmp_path / "elsewhere.json") is None
