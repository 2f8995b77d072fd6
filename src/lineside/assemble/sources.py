"""From a source's settings to the parts that bring its events in."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

import msgspec
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from lineside.assemble.clientendpoints import Dial
from lineside.assemble.endpoints import parse_listener
from lineside.assemble.settings import LinesSourceSettings
from lineside.assemble.translation import decoder_of, framing_of, limits_of
from lineside.edges.lines.datagrams import DatagramSource
from lineside.edges.lines.dialled import DialledSource
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.patience import PatientJournal
from lineside.edges.lines.polling import Poll
from lineside.edges.lines.source import LinesSource
from lineside.model.ports import Journal, Part
from lineside.operations.requests import SourceStatus

BACKLOG = 4096
"""Linux's own limit, where it was not changed (``net.core.somaxconn``)."""


class Source(Part, Protocol):
    """What all sources of lines have in common, whoever connects to whom."""

    id: str
    intake: Intake

    @property
    def address(self) -> str:
        """Where it listens or dials."""
        ...

    @property
    def problem(self) -> str | None:
        """What hinders it, in a line."""
        ...


class WayIn:
    """One source with what it rests on.

    Args:
        reactor: its timers must follow a monotonic clock.
        name: the source's.
        settings: as they were checked.
        journal: where the events go.
        random: for the delays between two attempts to dial.

    """

    def __init__(
        self, reactor: Any, name: str, settings: LinesSourceSettings, journal: Journal, random: Random
    ) -> None:
        self.patience = None if settings.ack else PatientJournal(name, journal, reactor)
        """Keeps what the disk refuses, where nobody can be told; None where devices are answered."""
        intake = Intake(name, decoder_of(settings), self.patience or journal, reactor, limits_of(settings))
        self.source = source_part(reactor, settings, intake, random)

    @property
    def status(self) -> SourceStatus:
        """What is told of it."""
        source, intake = self.source, self.source.intake
        waits = None if self.patience is None else self.patience.problem
        return SourceStatus(
            source.id,
            source.address,
            0 if isinstance(source, DatagramSource) else len(intake.sessions),
            intake.received,
            intake.undecodable,
            problem="; ".join(filter(None, (source.problem, waits))) or None,
        )


def source_part(reactor: Any, settings: LinesSourceSettings, intake: Intake, random: Random) -> Source:
    """Return the part that listens or dials, as the settings say."""
    if settings.dial is not None:
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
    assert settings.listen is not None
    if settings.datagrams:
        named = dict(parse_listener(settings.listen).arguments)
        intake.limits = msgspec.structs.replace(intake.limits, idle_timeout=0.0)
        return DatagramSource(reactor, int(named["port"]), named.get("interface", ""), settings.listen, intake)
    endpoint = serverFromString(reactor, with_backlog(settings.listen))
    return LinesSource(endpoint, settings.listen, intake, connections(framing_of(settings)))


def with_backlog(listen: str) -> str:
    """Return an endpoint string that lets `BACKLOG` connections wait to be taken, where it does not say how many.

    Twisted's 50 are used up when the power comes back and all devices call at once. Linux drops further ones while
    they take themselves for connected, and some would wait for an answer for ever.
    """
    endpoint = parse_listener(listen)
    if endpoint.kind not in {"tcp", "tcp6", "unix"} or "backlog" in dict(endpoint.arguments):
        return listen
    return f"{listen}:backlog={BACKLOG}"


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
