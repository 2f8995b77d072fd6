"""Lists of revoked certificates (CRLs), as their CA signs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from lineside.model.errors import LinesideError
from lineside.security.certificates import subject

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def read_revoked(
    path: Path, authorities: Sequence[x509.Certificate], now: datetime
) -> tuple[x509.CertificateRevocationList, ...]:
    """Return the lists of a PEM file, at least one, when each is signed by one of the authorities and good.

    Args:
        path: the file.
        authorities: whose certificates may stand on the lists.
        now: with a time zone.

    Raises:
        LinesideError: one line that names the file.

    """
    try:
        pems = _LIST.findall(path.read_bytes())
        lists = tuple(map(x509.load_pem_x509_crl, pems))
    except OSError as wrong:
        raise LinesideError(f"cannot read {path}: {wrong.strerror}") from wrong
    except ValueError as wrong:
        raise LinesideError(f"{path} holds a list of revoked certificates that cannot be read") from wrong
    if not lists:
        raise LinesideError(f"{path} holds no list of revoked certificates (CRL) in PEM")
    for each in lists:
        if not any(each.is_signature_valid(authority.public_key()) for authority in authorities):  # type: ignore[arg-type]
            raise LinesideError(f"{path} is not signed by the CA: {', '.join(map(subject, authorities))}")
        if each.next_update_utc is None:
            raise LinesideError(f"{path} does not say until when it is good")
        if each.next_update_utc <= now:
            raise LinesideError(
                f"{path} was good until {each.next_update_utc:%Y-%m-%d}; have the CA make a new one"
            )
    return lists
