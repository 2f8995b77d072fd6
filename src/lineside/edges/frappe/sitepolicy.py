"""TLS to a site, as Twisted's HTTP client asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from lineside.security.handshakes import Remedies, Trust

SITE = Remedies(
    server="the site",
    address="the target's url",
    ca="the target's ca",
    old="renew the site's web server",
)


@implementer(IPolicyForHTTPS)
class SitePolicy:
    """Lets requests out to a site that `Trust` takes for the right one, and to no other.

    Args:
        authorities: the only ones to trust; None for the platform's.

    """

    def __init__(self, authorities: Sequence[x509.Certificate] | None) -> None:
        self._trust = Trust(authorities, SITE)

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """Return what makes the connections to one server."""
        return self._trust.creator(hostname.decode("ascii"), port)
