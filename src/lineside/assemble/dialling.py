"""From the settings of a source that dials to the part that does."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from lineside.assemble.clientendpoints import Dial
from lineside.assemble.settings import LinesSourceSettings
from lineside.assemble.translation import framing_of
from lineside.edges.lines.dialled import DialledSource
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.polling import Poll


def dialled_source(reactor: Any, settings: LinesSourceSettings, intake: Intake, random: Random) -> DialledSource:
    """Return the part that dials a device."""
    assert settings.dial is not None
    assert settings.connect is not None
    poll = settings.poll
    return DialledSource(
        client_endpoint(reactor, settings.connect, settings.dial),
        settings.connect,
        intake,
        random,
        timeout=settings.dial.timeout,
        poll=None if poll is None else Poll(poll.send, poll.every, poll.timeout),
        connection=connections(framing_of(settings)),
    )


def client_endpoint(reactor: Any, description: str, dial: Dial) -> IStreamClientEndpoint:
    """Return the endpoint that a checked description means."""
    given = dial.arguments
    match dial.kind:
        case "tcp":
            # Unlike Twisted's own endpoint of that name, this one knows IPv6.
            return HostnameEndpoint(
                reactor, given["host"], int(given["port"]), dial.timeout, given.get("bindAddress")
            )
        case "serial":
            # Only who has a serial device needs pyserial.
            from lineside.edges.lines.serialport import SerialEndpoint, SerialLine  # noqa: PLC0415

            line = SerialLine(
                given["device"],
                int(given["baudrate"]),
                bytesize=int(given.get("bytesize", "8")),
                parity=given.get("parity", "N"),
                stopbits=float(given.get("stopbits", "1")),
                rtscts=given.get("rtscts") == "1",
                xonxoff=given.get("xonxoff") == "1",
            )
            return SerialEndpoint(reactor, line)
    endpoint: IStreamClientEndpoint = clientFromString(reactor, description)
    return endpoint
