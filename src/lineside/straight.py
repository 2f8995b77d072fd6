"""Answers straight to the socket, where that is safe.

A transport's ``write`` waits for the reactor to say that the socket is writable: two calls of ``epoll_ctl`` and one
more turn for each answer, more than the answer itself costs. An idle TCP socket can be sent to at once.

This looks into Twisted's transports, at what `WHAT_WE_KNOW` names; tests hold it to the versions that are allowed.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp

WHAT_WE_KNOW = (
    "TLS",
    "_tempDataLen",
    "_writeDisconnecting",
    "connected",
    "dataBuffer",
    "disconnecting",
    "socket",
)
"""What of `twisted.internet.tcp.Connection` is relied on."""


def write(transport: Any, data: bytes) -> None:
    """Send ``data`` on a transport, in order with whatever was written to it before.

    On a plain TCP connection that has nothing left to send it goes to the socket at once, and what the socket does
    not take is left to the transport; everything else is the transport's ``write``, which TLS, a connection on its
    way down and every other kind of transport need. A connection that breaks is found by the reactor, as ever.
    """
    if (
        isinstance(transport, tcp.Connection)
        and not transport.TLS
        and transport.connected
        and not transport.disconnecting
        and not transport._writeDisconnecting
        and not transport._tempDataLen
        and not transport.dataBuffer
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            # The socket is full; or broken, and the reactor meets the same error when it tries.
            sent = 0
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)
