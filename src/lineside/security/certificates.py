"""What a server's certificate must be before it is shown, and for whom it is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lineside.model.errors import LinesideError
from lineside.security.keypairs import KeyPair

OTHERS_READ = 0o004
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, appendix A.1)."""


def check_shown(pair: KeyPair, path: Path, now: datetime) -> None:
    """Raise unless a server may show this pair.

    Every certificate of it must be valid at ``now``, each must be signed by the one after it, and the first must be
    one of a server.

    Args:
        pair: as it was read, so that its key is known to be the first certificate's.
        path: the file of the certificates, for messages.
        now: with a time zone.

    Raises:
        LinesideError: one line that names the file.

    """
    for certificate in (pair.certificate, *pair.chain):
        if certificate.not_valid_after_utc <= now:
            raise LinesideError(
                f"{path}: the certificate of {subject(certificate)} expired on "
                f"{certificate.not_valid_after_utc:%Y-%m-%d}"
            )
        if now < certificate.not_valid_before_utc:
            raise LinesideError(
                f"{path}: the certificate of {subject(certificate)} is not valid before "
                f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            )
    for below, above in pairwise((pair.certificate, *pair.chain)):
        if not _signed(below, above):
            raise LinesideError(
                f"{path}: the certificate of {subject(below)} is not signed by the one after it, of "
                f"{subject(above)}; the server's comes first, then each that signed the one before"
            )
    try:
        usage = pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        raise LinesideError(f"{path}: the certificate of {subject(pair.certificate)} is not one of a server")


def check_key_file(key: Path) -> None:
    """Raise where everybody on this machine can read a private key.

    Raises:
        LinesideError: they can, or the file cannot be looked at.

    """
    try:
        mode = key.stat().st_mode
    except OSError as wrong:
        raise LinesideError(f"cannot read {key}: {wrong.strerror}") from wrong
    if mode & OTHERS_READ:
        raise LinesideError(f"the key in {key} can be read by everybody on this machine; chmod 640 {key}")


def subject(certificate: x509.Certificate) -> str:
    """Return what a certificate's owner is called, for a person."""
    return common_name(certificate) or next(iter(hosts(certificate)), "") or f"{certificate.serial_number:x}"


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate's subject; empty where it has none that could be shown."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = str(found[0].value) if found else ""
    return text if text.isprintable() and len(text) <= LONGEST_NAME else ""


def hosts(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names that a certificate is for, in lower case; ``*.`` begins one that stands for many."""
    return [name.lower().rstrip(".") for name in _names(certificate, x509.DNSName)]


def addresses(certificate: x509.Certificate) -> list[str]:
    """Return the URIs by which a certificate names its owner."""
    return list(_names(certificate, x509.UniformResourceIdentifier))


def expires(pair: KeyPair) -> datetime:
    """Return when the first certificate of a chain expires: none of it is good after that."""
    return min(each.not_valid_after_utc for each in (pair.certificate, *pair.chain))


def in_days(left: timedelta) -> str:
    """Return a span as a person says it."""
    days = left // timedelta(days=1)
    return "1 day" if days == 1 else f"{days} days"


def _names(
    certificate: x509.Certificate, kind: type[x509.DNSName | x509.UniformResourceIdentifier]
) -> Iterator[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return
    yield from map(str, extension.value.get_values_for_type(kind))


def _signed(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
