"""What one side of TLS shows of itself: a certificate with its chain, and the key to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from msgspec import Struct

from lineside.model.errors import LinesideError

Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class KeyPair(Struct, frozen=True):
    """A certificate and its key."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """Those behind it, which are shown as well."""
    key: Key

    @property
    def options(self) -> dict[str, Any]:
        """What Twisted's ``CertificateOptions`` take of it.

        Twisted hands them to pyOpenSSL, whose own classes for them are deprecated; its types still ask for those.
        """
        return {"privateKey": self.key, "certificate": self.certificate, "extraCertChain": list(self.chain)}


def read_key_pair(certificate: Path, key: Path) -> KeyPair:
    """Return what two PEM files hold, which may be one; the key has no password.

    Raises:
        LinesideError: one line that names the file.

    """
    try:
        chain = x509.load_pem_x509_certificates(_read(certificate))
    except ValueError as wrong:
        raise LinesideError(f"{certificate} holds no certificate in PEM") from wrong
    try:
        private = load_pem_private_key(_read(key), password=None)
    except (ValueError, TypeError) as wrong:
        raise LinesideError(f"{key} holds no private key in PEM without a password") from wrong
    if not isinstance(private, Key):
        raise LinesideError(f"{key} holds a key of a kind that is not served; make an EC or RSA key")
    first = chain[0]
    if _public(private.public_key()) != _public(first.public_key()):
        raise LinesideError(f"the key in {key} is not that of the certificate in {certificate}")
    return KeyPair(first, tuple(chain[1:]), private)


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise LinesideError(f"cannot read {path}: {wrong.strerror}") from wrong
