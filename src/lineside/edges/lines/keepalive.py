"""Finding out that the other end of a TCP connection is gone, although nothing is sent."""

from __future__ import annotations

import socket

from twisted.internet import tcp
from twisted.protocols.policies import ProtocolWrapper

IDLE = 30
"""Seconds of silence after which the other end is probed."""
EVERY = 10
"""Seconds between two probes."""
PROBES = 3
"""Unanswered probes after which the connection is given up."""
UNACKNOWLEDGED = 30
"""Seconds after which sent bytes that the other end has not acknowledged end the connection (RFC 5482)."""

_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPINTVL", EVERY),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", 1000 * UNACKNOWLEDGED),
)


def keep_alive(transport: object) -> None:
    """Have the operating system watch over a transport, where it is a TCP connection, with TLS or without.

    A peer that lost its power or its cable is found within `IDLE` + `EVERY` · `PROBES` seconds, as a connection
    that is lost. Options that a system does not have are left out.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    if not isinstance(transport, tcp.Connection):
        return
    handle = transport.getHandle()
    if handle.family == socket.AF_UNIX:
        return
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
