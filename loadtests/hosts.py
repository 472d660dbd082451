"""Who may be loaded, and whether it is what the people expect; asked before the load starts."""

import json
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import ValidationError

from tonnage.errors import ConfigError, DependencyError
from tonnage.serving.schemas import ReleaseAnswer

PATIENCE_S = 5.0
PORTS = {"http": 80, "https": 443}
HTTP, GRPC = frozenset(PORTS), frozenset({"grpc", "http"})
"""Schemes of addresses: a model's gRPC is on a port of its own, without TLS."""

RELEASE_PATH = "/v1/release"


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens.

    Attributes:
        url: as a person gave it.
        scheme: of it.
        host: name or number.
        port: of TCP.
    """

    url: str
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str, schemes: Collection[str]) -> "Address":
        """Read a URL.

        Args:
            url: as a person gave it.
            schemes: that are spoken there.

        Raises:
            ConfigError: it is none, or of another scheme.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or PORTS.get(parts.scheme)
        except ValueError:
            host, port = None, None
        if not host or not port or parts.scheme not in schemes:
            forms = " or ".join(f"{scheme}://HOST:PORT" for scheme in sorted(schemes))
            raise ConfigError(f"{url} is no address that can be asked here.", hint=f"Give --host {forms}.")
        return cls(url, parts.scheme, host, port)

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def require_allowed(address: Address, confirmed: Collection[str]) -> None:
    """Prove that a host is of this machine, or was named twice.

    Args:
        address: of what is to be loaded.
        confirmed: hosts of other machines that the user has named besides.

    Raises:
        ConfigError: it is another machine's and was not confirmed.
        DependencyError: nobody knows the name.
    """
    if address.host.lower() in {each.lower() for each in confirmed}:
        return
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DependencyError(f"there is no host {address.host}.", hint="Check --host.") from error
    if not all(ip_address(each[4][0]).is_loopback for each in found):
        raise ConfigError(
            f"{address.host} is another machine, and load may hurt it.",
            hint=f"If you may load it, say so: --yes-load {address.host}",
        )


def get(address: Address, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask once, with the client that the load is made with: status and body.

    Raises:
        DependencyError: nobody answers in time.
    """
    # Whoever imports Locust is patched from top to bottom; what else is here needs none of it.
    from locust.contrib.fasthttp import FastHttpSession
    from locust.event import EventHook

    session = FastHttpSession(
        base_url=address.url.rstrip("/"),
        request_event=EventHook(),
        user=None,
        connection_timeout=PATIENCE_S,
        network_timeout=PATIENCE_S,
    )
    answer = session.get(path, headers=headers)
    if not answer.status_code:
        raise DependencyError(
            f"nobody answers at {address.url} ({answer.error}).",
            hint="Start it (`tonnage serve`, `make up`), or name another with --host.",
        )
    return answer.status_code, answer.content or b""


def require_recommender(address: Address, gateway_host: str = "") -> None:
    """Prove that a recommender answers.

    Args:
        address: of it, or of a Gateway before it.
        gateway_host: name that the Gateway knows the shop by.

    Raises:
        DependencyError: nobody answers, or somebody else.
    """
    status, body = get(address, RELEASE_PATH, {"host": gateway_host} if gateway_host else {})
    wrong = no_recommender(status, body)
    if wrong:
        raise DependencyError(
            f"{address.url} answers, but not as a recommender does (GET {RELEASE_PATH}: {wrong}).",
            hint="Name a recommender with --host; behind a Gateway, its host name with --gateway-host.",
        )


def no_recommender(status: int, body: bytes) -> str:
    """Why an answer to `GET /v1/release` is not a recommender's; empty if it is. Pure."""
    if status != 200:
        return f"status {status}"
    try:
        ReleaseAnswer.model_validate_json(body)
    except ValidationError:
        return "its body is another's"
    return ""


def require_model(address: Address, name: str) -> str:
    """Prove that a model answers over REST, and return the id of its release.

    Raises:
        DependencyError: nobody answers, or somebody else.
    """
    path = f"/v2/models/{name}"
    status, body = get(address, path, {})
    release, wrong = release_of_model(status, body, name)
    if wrong:
        raise not_a_model(address, name, f"GET {path}: {wrong}")
    return release


def release_of_model(status: int, body: bytes, name: str) -> tuple[str, str]:
    """The release that a model's metadata tell, and why they are not that model's; one is empty. Pure."""
    if status != 200:
        return "", f"status {status}"
    try:
        told = json.loads(body)
        found, release = told["name"], str(told["versions"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        return "", "its body is another's"
    return (release, "") if found == name else ("", f"it is the model {found}")


def not_a_model(address: Address, name: str, why: str) -> DependencyError:
    """What to tell of somebody who answers and does not serve a model."""
    return DependencyError(
        f"{address.url} answers, but does not serve the model {name} ({why}).",
        hint=f"Name a {name} with --host.",
    )
