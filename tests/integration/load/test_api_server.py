"""A pod reads the API server with its own ServiceAccount: over TLS, with the token that is valid now."""

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import pki
from tonnage.deployment.embedded.network import Addresses
from tonnage.errors import ClusterError, RequirementError
from tonnage.load.api_server import api_server, of_pod

PODS = "/api/v1/namespaces/shop/pods"
STATUS = {"kind": "Status", "message": 'pods is forbidden: User "somebody" cannot list resource "pods"'}


@dataclass
class Served:
    """What listens, and the tokens that it was shown."""

    environment: dict[str, str]
    certificates: Path
    tokens: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    pki.write(directory, Addresses("127.0.0.0/16", 8090, 9100))
    return directory


@pytest.fixture
def served(certificates: Path) -> Iterator[Served]:
    """An HTTPS server that knows one token, as the embedded cluster's own certificates name it."""
    served = Served({}, certificates)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.tokens.append(self.headers["authorization"])
            good = self.path == PODS
            body = json.dumps({"items": []} if good else STATUS).encode()
            self.send_response(200 if good else 403)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        served.environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT_HTTPS": str(server.server_address[1]),
        }
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def account(certificates: Path, tmp_path: Path) -> Path:
    """As the kubelet mounts it."""
    (tmp_path / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
    (tmp_path / "token").write_text("first\n", encoding="ascii")
    return tmp_path


def test_the_token_is_read_again_for_each_question(served: Served, account: Path) -> None:
    """The kubelet replaces it within the hour; a soak takes two."""
    ask = of_pod(served.environment, account)
    assert json.loads(ask(PODS)) == {"items": []}
    (account / "token").write_text("second", encoding="ascii")
    ask(PODS)
    assert served.tokens == ["Bearer first", "Bearer second"]


def test_a_refusal_is_told_in_the_api_servers_own_words(served: Served, account: Path) -> None:
    with pytest.raises(ClusterError, match=r"403: pods is forbidden.*path=/api/v1/nodes"):
        of_pod(served.environment, account)("/api/v1/nodes")


def test_a_server_that_another_authority_vouches_for_gets_no_token(
    served: Served, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The token is a right to read the cluster; whoever sits between would have it."""
    other = tmp_path_factory.mktemp("other")
    pki.write(other, Addresses("127.0.0.0/16", 8090, 9100))
    (account / "ca.crt").write_bytes((other / "ca.crt").read_bytes())
    with pytest.raises(ClusterError, match=r"does not answer.*CERTIFICATE_VERIFY_FAILED"):
        of_pod(served.environment, account)(PODS)
    assert served.tokens == []


def test_a_token_that_is_gone_and_an_authority_that_is_none_are_one_sentence(
    served: Served, account: Path
) -> None:
    ask = of_pod(served.environment, account)
    (account / "token").unlink()
    with pytest.raises(ClusterError, match="the pod's token cannot be read"):
        ask(PODS)
    (account / "ca.crt").write_text("nothing", encoding="ascii")
    with pytest.raises(ClusterError, match="certificate authority cannot be read"):
        of_pod(served.environment, account)


def test_a_pod_asks_for_itself_unless_another_cluster_is_named(
    served: Served, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no kubectl in the image of the load test; and a pipeline's pod may look at another cluster."""
    monkeypatch.setattr("tonnage.load.api_server.SERVICE_ACCOUNT", account)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    with api_server(ClusterAccess(kubectl="no-such-kubectl")) as ask:
        ask(PODS)
    assert served.tokens == ["Bearer first"]
    elsewhere = ClusterAccess(kubectl="no-such-kubectl", context="another")
    with pytest.raises(RequirementError, match="no-such-kubectl"), api_server(elsewhere):
        pass
