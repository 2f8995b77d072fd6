"""One request to another server: sent once, answered in time and within bounds, cut off where it is cancelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from lineside.exchanges import Answer, NoAnswer, exchange
from lineside.model.errors import LinesideError
from lineside.security.handshakes import HandshakeFailed, Remedies, Trust

CONNECT_SECONDS = 10.0

_REMEDIES = Remedies(server="the server", address="the task's url", ca="the task's ca", old="renew the server")


class CallError(LinesideError):
    """An outgoing request did not do what it was to do."""


class CallUnreachable(CallError):
    """There was no connection: nothing was sent."""


class CallUnsure(CallError):
    """No whole answer came: nobody knows whether the request was carried out."""


class Outgoing:
    """Requests to other servers. Each has a connection of its own; no redirect is followed, and no cookie kept.

    Args:
        reactor: connects, and counts the time-outs.
        authorities: the only ones that may have signed a server's certificate; None for the platform's.

    """

    def __init__(self, reactor: Any, authorities: Sequence[x509.Certificate] | None = None) -> None:
        self._clock = reactor
        self._agent = Agent(reactor, _Policy(Trust(authorities, _REMEDIES)), CONNECT_SECONDS)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        within: float,
        largest: int,
    ) -> Answer:
        """Send one request and return its answer, of whatever status.

        Args:
            method: such as ``POST``.
            url: percent-encoded.
            headers: by name.
            body: None for none.
            within: seconds, from connecting to the answer's last byte.
            largest: bytes of the answer that are kept; of a larger one there is none.

        Raises:
            CallUnreachable: there was no connection to send it on.
            CallUnsure: no whole answer came.
            CancelledError: the caller gave up; the connection is aborted.

        """
        sent = Headers({name.encode(): [value.encode()] for name, value in headers.items()})
        try:
            return await exchange(
                self._agent, self._clock, method, url.encode(), sent, body, within=within, largest=largest
            )
        except NoAnswer as none:
            kept_out = next((cause for cause in none.causes if isinstance(cause, HandshakeFailed)), None)
            kind = CallUnsure if kept_out is None and none.connected else CallUnreachable
            if kept_out is not None and not none.expired:
                raise kind("; ".join(filter(None, (kept_out.reason, kept_out.remedy)))) from none
            raise kind(str(none)) from none


@implementer(IPolicyForHTTPS)
class _Policy:
    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        return self._trust.creator(hostname.decode("ascii"), port)
