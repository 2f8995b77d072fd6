"""From the settings of a source to which devices connect to the part that listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

from lineside.assemble.descriptors import HANDSHAKES
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.translation import framing_of
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.source import LinesSource
from lineside.edges.lines.stream import Naming, name_peer

if TYPE_CHECKING:
    from lineside.security.tls import ServerSide

BACKLOG = 4096
"""Linux's own limit, where it was not changed (``net.core.somaxconn``)."""


def lines_source(
    reactor: Any, settings: LinesSourceSettings, intake: Intake, side: ServerSide | None = None
) -> LinesSource:
    """Return the part to which devices connect.

    Args:
        reactor: listens.
        settings: of a source that listens.
        intake: where lines go.
        side: makes the connections, where they have TLS.

    """
    assert settings.listen is not None
    endpoint = listener(reactor, settings.listen, f"sources.{intake.id}", side, intake.admits)
    named: Naming = name_peer
    if settings.certified:
        # Only who asks for certificates needs what reads them.
        from lineside.edges.lines.certified import certified_name  # noqa: PLC0415

        named = certified_name(intake.id)
    return LinesSource(endpoint, settings.listen, intake, connections(framing_of(settings), named))


def listener(
    reactor: Any,
    listen: str,
    where: str,
    side: ServerSide | None,
    admits: Callable[[str], bool] = lambda peer: True,
) -> IStreamServerEndpoint:
    """Return the endpoint that a checked description means, with TLS where ``side`` makes its connections.

    Args:
        reactor: listens.
        listen: the description.
        where: what listens, for the log.
        side: None for no TLS.
        admits: with TLS, tells whether an address may begin a handshake.

    """
    if side is None:
        return server_endpoint(reactor, listen)
    # Only who has TLS waits for OpenSSL.
    from lineside.security.arrivals import Threshold  # noqa: PLC0415
    from lineside.security.tlsrecords import SealedEndpoint  # noqa: PLC0415

    sealed = SealedEndpoint(side, server_endpoint(reactor, listen), reactor)
    return Threshold(sealed, where, reactor, most=HANDSHAKES, admits=admits)


def server_endpoint(reactor: Any, listen: str) -> IStreamServerEndpoint:
    """Return the endpoint that a checked description means.

    It lets `BACKLOG` connections wait to be taken, where the description does not say how many. Twisted's 50 are
    used up when the power comes back and all devices call at once. Linux drops further ones while they take
    themselves for connected, and some would wait for an answer for ever.
    """
    listener = parse_listener(listen)
    given = dict(listener.arguments)
    backlog = int(given.get("backlog", BACKLOG))
    match listener.kind:
        case "tcp":
            return TCP4ServerEndpoint(reactor, int(given["port"]), backlog, given.get("interface", ""))
        case "tcp6":
            # Twisted knows the string as a plug-in's, and would import every plug-in there is to find that.
            return TCP6ServerEndpoint(reactor, int(given["port"]), backlog, given.get("interface", "::"))
        case "unix" if "backlog" not in given:
            listen = f"{listen}:backlog={BACKLOG}"
    endpoint: IStreamServerEndpoint = serverFromString(reactor, listen)
    return endpoint
