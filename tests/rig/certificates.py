"""Certificates made for one test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

DAY = timedelta(days=1)


class Identity(Struct, frozen=True):
    """What a server shows, and the key to it; paths of PEM files."""

    certificate: Path
    key: Path


class Authority:
    """A CA; its certificate is the file ``path``.

    Args:
        directory: where all files go.
        name: the CA's.
        begins: days from now.
        ends: days from now.
        above: the CA that signs this one, which signs itself without.

    """

    def __init__(
        self,
        directory: Path,
        name: str = "Plant CA",
        *,
        begins: float = -2,
        ends: float = 2,
        above: Authority | None = None,
    ) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        signer = above or self
        self.certificate = (
            _draft(self._name, signer, self._key, begins, ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer._key, hashes.SHA256())
        )
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.path = directory / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(self.pem)

    def sign(
        self,
        *hosts: str,
        begins: float = -1,
        ends: float = 1,
        for_clients: bool = False,
        chain: Sequence[Authority] = (),
        name: str = "erp",
    ) -> Identity:
        """Return a certificate for hosts (names or addresses), none at all where none is given.

        Args:
            hosts: what its subjectAltName holds; URIs as well.
            begins: days from now.
            ends: days from now.
            for_clients: it may not be a server's.
            chain: CAs whose certificates are shown with it.
            name: whose it is.

        """
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _draft(_named(name), self, key, begins, ends)
        if hosts:
            draft = draft.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        if for_clients:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
            draft = draft.add_extension(usage, critical=False)
        signed = draft.sign(self._key, hashes.SHA256())
        identity = Identity(
            self._directory / f"{signed.serial_number}.pem", self._directory / f"{signed.serial_number}.key"
        )
        shown = signed.public_bytes(serialization.Encoding.PEM) + b"".join(each.pem for each in chain)
        identity.certificate.write_bytes(shown)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        identity.key.touch(mode=0o600)
        identity.key.write_bytes(pem)
        return identity

    def revoke(self, *identities: Identity, ends: float = 2) -> Path:
        """Write, and return, the list of those that are revoked; it is good for so many days."""
        now = datetime.now(UTC)
        draft = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now + min(0, ends - 1) * DAY)
            .next_update(now + ends * DAY)
        )
        for identity in identities:
            revoked = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
            draft = draft.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(revoked.serial_number).revocation_date(now).build()
            )
        path = self.path.with_suffix(".crl")
        path.write_bytes(draft.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


def day(after: float) -> str:
    """Return the date so many days from now, as messages show it."""
    return f"{datetime.now(UTC) + after * DAY:%Y-%m-%d}"


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    if "://" in host:
        return x509.UniformResourceIdentifier(host)
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _draft(
    name: x509.Name, signer: Authority, key: ec.EllipticCurvePrivateKey, begins: float, ends: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer._name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins * DAY)
        .not_valid_after(now + ends * DAY)
    )
