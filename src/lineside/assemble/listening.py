"""From the settings of a source to which devices connect to the part that listens."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import (
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.interfaces import IStreamServerEndpoint

from lineside.assemble.endpoints import parse_listener
from lineside.assemble.settings import LinesSourceSettings
from lineside.assemble.translation import framing_of
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.source import LinesSource

BACKLOG = 4096
"""Linux's own limit, where it was not changed (``net.core.somaxconn``)."""


def lines_source(reactor: Any, settings: LinesSourceSettings, intake: Intake) -> LinesSource:
    """Return the part to which devices connect."""
    assert settings.listen is not None
    endpoint = server_endpoint(reactor, settings.listen)
    return LinesSource(endpoint, settings.listen, intake, connections(framing_of(settings)))


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
