"""What a CA of our own writes into certificates and lists: RFC 5280's extensions, P-256 and SHA-256. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from lineside.security.devicenames import address

BEFORE = timedelta(hours=1)
"""How long before its making a certificate is valid: the clocks of devices are not quite right."""


class Purpose(Struct, frozen=True):
    """What a certificate is for: with hosts a server's, otherwise a device's."""

    hosts: tuple[str, ...] = ()
    """Names and IP addresses by which clients call the server."""
    sources: tuple[str, ...] = ()
    """The only ones at which the device may come in; none for all."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Purpose:
        """Return what a certificate of ours is for."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return cls()
        hosts = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        return cls(hosts, tuple(uri.split("/")[2] for uri in uris))


class Signer(Struct, frozen=True):
    """A CA with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def authority(name: str, now: datetime, life: timedelta) -> Signer:
    """Return a new CA, which signs servers and devices and no further CA."""
    key = new_key()
    subject = _named(name)
    certificate = (
        _draft(subject, subject, key.public_key(), now, now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, SHA256())
    )
    return Signer(certificate, key)


def signed(
    signer: Signer, name: str, key: ec.EllipticCurvePublicKey, purpose: Purpose, now: datetime, life: timedelta
) -> x509.Certificate:
    """Return a new certificate. It ends with its CA at the latest."""
    ends = min(now + life, signer.certificate.not_valid_after_utc)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if purpose.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    draft = (
        _draft(_named(name), signer.certificate.subject, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(_issuer(signer), critical=False)
    )
    names: list[x509.GeneralName] = [_host(host) for host in purpose.hosts]
    names += [x509.UniformResourceIdentifier(address(source, name)) for source in purpose.sources]
    if names:
        draft = draft.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return draft.sign(signer.key, SHA256())


def revocations(
    signer: Signer,
    before: x509.CertificateRevocationList | None,
    revoked: Iterable[int],
    now: datetime,
    life: timedelta,
) -> x509.CertificateRevocationList:
    """Return a new list: what stood on the one before, and these serial numbers."""
    number = 1
    known: Sequence[x509.RevokedCertificate] = ()
    if before is not None:
        known = list(before)
        number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    draft = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now)
        .next_update(min(now + life, signer.certificate.not_valid_after_utc))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issuer(signer), critical=False)
    )
    for each in known:
        draft = draft.add_revoked_certificate(each)
    for serial in set(revoked) - {each.serial_number for each in known}:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        draft = draft.add_revoked_certificate(entry)
    return draft.sign(signer.key, SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _issuer(signer: Signer) -> x509.AuthorityKeyIdentifier:
    identifier = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _draft(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
