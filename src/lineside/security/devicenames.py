"""Who a device is, by its certificate. Pure.

``lineside pki issue`` writes the device's name into the subject, and where it is bound to a source also a URI into
the subjectAltName: ``lineside://gate/scanner-3``. Another CA's certificates have the name alone.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, unquote, urlsplit

from cryptography import x509

from lineside.model.errors import LinesideError
from lineside.security.certificates import addresses, common_name, hosts, subject

SCHEME = "lineside"


class NoEntry(LinesideError):
    """The certificate is right, but not for here."""


def address(source: str, device: str) -> str:
    """Return the URI that binds a device to a source."""
    return f"{SCHEME}://{source}/{quote(device, safe='')}"


def bound_to(certificate: x509.Certificate) -> list[str]:
    """Return the sources that a certificate is bound to; none where it is good for each."""
    return [urlsplit(each).netloc for each in addresses(certificate) if each.startswith(f"{SCHEME}://")]


def device_name(certificate: x509.Certificate, source: str) -> str:
    """Return the name of a certificate's owner as a device of a source.

    Raises:
        NoEntry: it is bound to other sources, or names nobody.

    """
    bound = bound_to(certificate)
    if bound and source not in bound:
        raise NoEntry(f"the certificate of {subject(certificate)} is for the source {', '.join(bound)}")
    for each in addresses(certificate):
        if each.startswith(f"{SCHEME}://{source}/"):
            name = unquote(urlsplit(each).path.removeprefix("/"))
            if name and name.isprintable():
                return name
    name = common_name(certificate) or next(iter(hosts(certificate)), "")
    if not name:
        raise NoEntry(f"the certificate {certificate.serial_number:x} names nobody")
    return name


def admission(source: str) -> Callable[[x509.Certificate], str | None]:
    """Return what tells why a certificate's owner is no device of a source; None if it is one."""

    def admit(certificate: x509.Certificate) -> str | None:
        try:
            device_name(certificate, source)
        except NoEntry as refused:
            return str(refused)
        return None

    return admit
