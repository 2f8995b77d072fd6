"""From the settings of a source that dials to the part that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from cryptography.x509 import Certificate
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from lineside.assemble.clientendpoints import Dial
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.translation import framing_of
from lineside.edges.lines.dialled import DialledSource
from lineside.edges.lines.framed import connections
from lineside.edges.lines.intake import Intake
from lineside.edges.lines.polling import Poll
from lineside.edges.lines.secured import DEVICE, SecuredEndpoint
from lineside.security.handshakes import Trust
from lineside.security.keypairs import KeyPair, read_key_pair


def dialled_source(reactor: Any, settings: LinesSourceSettings, intake: Intake, random: Random) -> DialledSource:
    """Return the part that dials a device."""
    assert settings.dial is not None
    assert settings.connect is not None
    poll = settings.poll
    return DialledSource(
        client_endpoint(reactor, settings.connect, settings.dial, settings.ca, settings.name_servers),
        settings.connect,
        intake,
        random,
        timeout=settings.dial.timeout,
        poll=None if poll is None else Poll(poll.send, poll.every, poll.timeout),
        connection=connections(framing_of(settings)),
    )


def client_endpoint(
    reactor: Any,
    description: str,
    dial: Dial,
    ca: Sequence[Certificate] | None = None,
    servers: Sequence[str] = (),
) -> IStreamClientEndpoint:
    """Return the endpoint that a checked description means.

    Args:
        reactor: connects.
        description: as the configuration has it.
        dial: what it says.
        ca: with ``tls``, the only authorities to trust; None for the platform's.
        servers: with ``srv``, the name servers to ask; none for the machine's own.

    Raises:
        LinesideError: the files of our own certificate cannot be read.

    """
    given = dial.arguments
    match dial.kind:
        case "tcp" | "tls":
            host, port = given["host"], int(given["port"])
            # Unlike Twisted's own endpoint of that name, this one knows IPv6.
            plain = HostnameEndpoint(reactor, host, port, dial.timeout, given.get("bindAddress"))
            if dial.kind == "tcp":
                return plain
            # Twisted's own of this name lets a certificate pass that names no host.
            identity = _shown(given)
            return SecuredEndpoint(plain, Trust(ca, DEVICE, identity).creator(host, port))
        case "srv":
            # Only who looks for a service needs what asks for it.
            from lineside.assemble.services import service_endpoint  # noqa: PLC0415

            return service_endpoint(reactor, given["service"], servers)
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


def _shown(given: Mapping[str, str]) -> KeyPair | None:
    """Return what we show to a device that asks who we are; the key may stand in the certificate's file."""
    certificate = given.get("certificate")
    if certificate is None:
        return None
    return read_key_pair(Path(certificate), Path(given.get("privateKey", certificate)))
