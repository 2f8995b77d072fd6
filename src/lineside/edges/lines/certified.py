"""Devices that showed a certificate: their name stands in it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import ITCPTransport

from lineside.edges.lines.stream import Naming
from lineside.security.devicenames import device_name


def certified_name(source: str) -> Naming:
    """Return what names the devices of a source; their certificates were found right in the handshake."""

    def name(transport: ITCPTransport) -> str:
        secured: Any = transport
        return device_name(secured.getPeerCertificate().to_cryptography(), source)

    return name
