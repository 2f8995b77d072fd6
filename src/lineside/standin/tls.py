"""The stand-in's certificate, where it serves https."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.ssl import CertificateOptions

from lineside.security.keypairs import read_key_pair


def read_identity(certificate: Path, key: Path) -> CertificateOptions:
    """Return what a TLS server shows: a certificate, those of its chain behind it, and the key of the first.

    Both files are PEM; the key has no password.

    Raises:
        LinesideError: one line that names the file.

    """
    return CertificateOptions(**read_key_pair(certificate, key).options)
