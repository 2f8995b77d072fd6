"""The file of a private certificate authority: what must be in it."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

BEGIN = b"-----BEGIN CERTIFICATE-----"


def read_authorities(pem: bytes, now: datetime) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates of a PEM file that are valid; of a bundle the others are left out.

    Args:
        pem: what the file holds. Other things than certificates are passed over.
        now: with a time zone.

    Raises:
        ValueError: it holds no CA that could vouch for a server now; the text goes on after the file's name.

    """
    if not pem.strip():
        raise ValueError("is empty")
    if BEGIN not in pem:
        raise ValueError(f"holds no certificate in PEM, which begins with {BEGIN.decode()}")
    try:
        found = x509.load_pem_x509_certificates(pem)
        authorities = [each for each in found if _is_authority(each)]
    except ValueError as wrong:
        raise ValueError("holds a certificate that cannot be read") from wrong
    if not authorities:
        raise ValueError("holds no certificate of a CA; give that of the CA which signed the server's")
    valid = [each for each in authorities if each.not_valid_before_utc <= now <= each.not_valid_after_utc]
    if not valid:
        last = max(authorities, key=lambda each: each.not_valid_after_utc)
        if last.not_valid_after_utc < now:
            raise ValueError(f"holds a CA that expired on {last.not_valid_after_utc:%Y-%m-%d}")
        raise ValueError(f"holds a CA that is not valid before {last.not_valid_before_utc:%Y-%m-%d}")
    if all(each.subject != each.issuer for each in valid):
        raise ValueError("holds only intermediate CAs; add the root CA which signed them")
    return tuple(valid)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
