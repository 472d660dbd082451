"""The cluster's certificates: one authority, short names, elliptic keys."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tonnage.deployment.embedded.network import Addresses

NODE = "tonnage"
"""Name of the one node."""

VALID = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One certificate.

    Args:
        name: file name, and the common name unless `user` is given.
        user: common name; for a client, the user that Kubernetes sees.
        group: organisation; for a client, the group that Kubernetes sees.
        hosts: DNS names and addresses it serves as.
    """

    name: str
    user: str = ""
    group: str = ""
    hosts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """Something that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


CLIENTS = (
    Wanted("admin", "kubernetes-admin", "system:masters"),
    Wanted("controller-manager", "system:kube-controller-manager"),
    Wanted("scheduler", "system:kube-scheduler"),
    Wanted("proxy", "system:kube-proxy"),
    Wanted("node", f"system:node:{NODE}", "system:nodes"),
    Wanted("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Wanted("front-proxy-client", "front-proxy-client"),
)


def servers(addresses: Addresses) -> tuple[Wanted, ...]:
    """The certificates of what listens."""
    api = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    return (
        Wanted("apiserver", hosts=(*api, "localhost", "127.0.0.1", addresses.api, addresses.node)),
        Wanted("kubelet", hosts=(NODE, "localhost", "127.0.0.1", addresses.node)),
    )


def write(directory: Path, addresses: Addresses) -> None:
    """Make every certificate and key of a cluster, unless a complete set is there."""
    done = directory / "complete"
    if done.exists():
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _authority()
    _save(directory, "ca", authority.certificate, authority.key)
    for wanted in (*servers(addresses), *CLIENTS):
        key = ec.generate_private_key(ec.SECP256R1())
        _save(directory, wanted.name, _signed(wanted, key, authority), key)
    accounts = ec.generate_private_key(ec.SECP256R1())
    _save_key(directory / "service-accounts.key", accounts)
    (directory / "service-accounts.pub").write_bytes(
        accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    done.touch()


def issue(directory: Path, wanted: Wanted) -> None:
    """Make one more certificate of a cluster's authority, unless it is there.

    Args:
        directory: where `write` made the others.
        wanted: the certificate.
    """
    if (directory / f"{wanted.name}.crt").exists():
        return
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - `write` made it
    authority = Authority(x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes()), key)
    own = ec.generate_private_key(ec.SECP256R1())
    _save(directory, wanted.name, _signed(wanted, own, authority), own)


def _authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tonnage-cluster")])
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def _signed(wanted: Wanted, key: ec.EllipticCurvePrivateKey, authority: Authority) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, wanted.user or wanted.name)]
    if wanted.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.group))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if wanted.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(x509.Name(attributes), authority.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )
    if wanted.hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in wanted.hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock that is set back a little must not make them invalid.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _save(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # The key first: who finds the certificate finds both.
    _save_key(directory / f"{name}.key", key)
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _save_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
