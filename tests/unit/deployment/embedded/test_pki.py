"""The cluster's certificates."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tonnage.deployment.embedded import pki
from tonnage.deployment.embedded.network import Addresses

ADDRESSES = Addresses("10.200.0.0/16", 8090, 9100)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One set for all tests."""
    directory = tmp_path_factory.mktemp("cluster") / "pki"
    pki.write(directory, ADDRESSES)
    return directory


def _read(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


@pytest.mark.parametrize("wanted", [*pki.CLIENTS, *pki.servers(ADDRESSES)], ids=lambda wanted: wanted.name)
def test_every_certificate_is_signed_by_the_one_authority(directory: Path, wanted: pki.Wanted) -> None:
    certificate = _read(directory, wanted.name)
    certificate.verify_directly_issued_by(_read(directory, "ca"))
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365)


def test_the_api_server_is_known_by_every_name_it_is_called(directory: Path) -> None:
    """A pod calls it by the Service's address, a person by the node's."""
    names = (
        _read(directory, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    addresses = set(names.get_values_for_type(x509.IPAddress))
    assert {ip_address(ADDRESSES.api), ip_address(ADDRESSES.node)} <= addresses
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)


def test_the_node_is_in_the_group_that_may_only_touch_its_own(directory: Path) -> None:
    subject = _read(directory, "node").subject
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_a_certificate_that_is_wanted_later_is_signed_by_the_same_authority_and_kept(directory: Path) -> None:
    """What an add-on serves must be trusted by whoever trusts the cluster, also after the next `up`."""
    wanted = pki.Wanted("hooks", hosts=("hooks.kserve.svc",))
    pki.issue(directory, wanted)
    certificate = _read(directory, "hooks")
    certificate.verify_directly_issued_by(_read(directory, "ca"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hooks.kserve.svc"]
    pki.issue(directory, wanted)
    assert _read(directory, "hooks") == certificate


def test_keys_are_for_their_owner_only(directory: Path) -> None:
    assert all(key.stat().st_mode & 0o077 == 0 for key in directory.glob("*.key"))


def test_a_set_that_is_complete_is_kept_and_one_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """Half an old and half a new set would not trust each other."""
    pki.write(tmp_path, ADDRESSES)
    first = (tmp_path / "ca.crt").read_bytes()
    pki.write(tmp_path, ADDRESSES)
    assert (tmp_path / "ca.crt").read_bytes() == first
    (tmp_path / "complete").unlink()
    pki.write(tmp_path, ADDRESSES)
    _read(tmp_path, "node").verify_directly_issued_by(_read(tmp_path, "ca"))
    assert (tmp_path / "ca.crt").read_bytes() != first
