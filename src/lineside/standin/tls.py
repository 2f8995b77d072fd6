"""The stand-in's certificate, where it serves https."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.ssl import CertificateOptions

from lineside.model.errors import LinesideError


def read_identity(certificate: Path, key: Path) -> CertificateOptions:
    """Return what a TLS server shows: a certificate, those of its chain behind it, and the key of the first.

    Both files are PEM; the key has no password.

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
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise LinesideError(f"{key} holds a key of a kind that is not served; make an EC or RSA key")
    # Twisted hands them to pyOpenSSL, whose own classes for them are deprecated; its types still ask for those.
    shown: dict[str, Any] = {"privateKey": private, "certificate": chain[0], "extraCertChain": chain[1:]}
    options = CertificateOptions(**shown)
    try:
        options.getContext()
    except SSL.Error as wrong:
        raise LinesideError(f"the key in {key} is not that of the certificate in {certificate}") from wrong
    return options


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as wrong:
        raise LinesideError(f"cannot read {path}: {wrong.strerror}") from wrong
