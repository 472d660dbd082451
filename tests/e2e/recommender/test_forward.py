"""A way from this machine into the cluster."""

import socket
import urllib.request

import pytest

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.forward import forwarded
from tonnage.errors import ClusterError


def test_the_port_answers_while_inside_and_no_longer(cluster: ClusterAccess):
    with (
        forwarded(cluster, "service/prometheus", 9090, namespace="monitoring") as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10) as answer,
    ):
        assert answer.status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_service_that_is_not_there_is_named(cluster: ClusterAccess):
    with (
        pytest.raises(ClusterError, match='services "nobody" not found'),
        forwarded(cluster, "service/nobody", 80, namespace="default"),
    ):
        pytest.fail("there is nothing to forward to")
