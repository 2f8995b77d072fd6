"""Where the connections to a site lead. An agent asks anew for each request, though few need a new connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class KeptEndpoint:
    """Makes a site's endpoint once: encoding its name costs as much as a request, and a TLS context far more.

    Args:
        reactor: connects.
        policy: for ``https``.
        seconds: that connecting may take.
        via: connects in place of the address's host. A certificate must still be that host's.

    """

    def __init__(
        self, reactor: Any, policy: IPolicyForHTTPS, seconds: float, via: IStreamClientEndpoint | None = None
    ) -> None:
        self._reactor = reactor
        self._policy = policy
        self._seconds = seconds
        self._via = via
        self._kept: dict[tuple[bytes, bytes, int], IStreamClientEndpoint] = {}

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint for an ``http`` or ``https`` address; the agent is given no other."""
        place = (uri.scheme, uri.host, uri.port)
        if place not in self._kept:
            self._kept[place] = self._made(uri)
        return self._kept[place]

    def _made(self, uri: URI) -> IStreamClientEndpoint:
        endpoint = self._via
        if endpoint is None:
            endpoint = HostnameEndpoint(self._reactor, uri.host.decode("ascii"), uri.port, timeout=self._seconds)
        if uri.scheme == b"https":
            return wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint
