"""Answers straight to the socket, where that is safe.

A transport's ``write`` waits for the reactor to say that the socket is writable: two calls of ``epoll_ctl`` and one
more turn for each answer, more than the answer itself costs. An idle TCP socket can be sent to at once. With TLS
there is a timer before that, by which Twisted gathers small writes; ours are gathered already.

This looks into Twisted's transports, at what `WHAT_WE_KNOW` names; tests hold it to the versions that are allowed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.protocols.tls import BufferingTLSTransport

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
WHAT_WE_KNOW_OF_TLS = (
    "_aggregator",
    "_appSendBuffer",
    "_handshakeDone",
    "_lostTLSConnection",
    "_tlsConnection",
    "connected",
    "disconnecting",
    "transport",
)
"""What of `twisted.protocols.tls.BufferingTLSTransport` is, and the ``_buffer`` of its ``_aggregator``."""
RECORD, MOST = 2**14, 2**15
"""Bytes that TLS puts into one record (RFC 8446, section 5.1), and that are taken from OpenSSL at a time."""


def write(transport: Any, data: bytes) -> None:
    """Send ``data`` on a transport, in order with whatever was written to it before.

    On a TCP connection that has nothing left to send it goes to the socket at once, encrypted where TLS is spoken
    on it, and what the socket does not take is left to the transport; everything else is the transport's ``write``,
    which a handshake, a connection on its way down and every other kind of transport need. A connection that breaks
    is found by the reactor, as ever.
    """
    if isinstance(transport, tcp.Connection):
        _send(transport, data)
    elif not isinstance(transport, BufferingTLSTransport) or (data := _encrypt(transport, data)):
        transport.write(data)


def writer(transport: Any) -> Callable[[bytes], None]:
    """Return `write` for one transport, for who writes often: which kind it is, is looked at once."""
    return partial(_send if isinstance(transport, tcp.Connection) else write, transport)


def _send(transport: tcp.Connection, data: bytes) -> None:
    if (
        transport.connected
        and not transport.disconnecting
        and not transport._writeDisconnecting
        and not transport._tempDataLen
        and not transport.dataBuffer
        and not transport.TLS
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


def _encrypt(transport: BufferingTLSTransport, data: bytes) -> bytes:
    """Send it encrypted where nothing goes before it; return what is left for the transport."""
    beneath: Any = transport.transport
    if not (
        isinstance(beneath, tcp.Connection)
        and transport.connected
        and not transport.disconnecting
        and transport._handshakeDone
        and not transport._lostTLSConnection
        and not transport._appSendBuffer
        and not transport._aggregator._buffer  # type: ignore[union-attr] # (it has one while it is connected)
    ):
        return data
    sealed = getattr(transport, "seal", None) or partial(seal, transport._tlsConnection)
    try:
        if len(data) <= RECORD:
            record, done = sealed(data), len(data)
        else:
            record, done = _several(sealed, data)
    except SSL.Error:
        # The transport meets the same, and knows what to do.
        return data
    write(beneath, record)
    return data[done:]


def _several(sealed: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, int]:
    """Return what is to be sent, at least one record, and how much of ``data`` is in it."""
    records = [sealed(data[:RECORD])]
    done = RECORD
    with contextlib.suppress(SSL.Error):
        while done < len(data):
            # OpenSSL takes all of what one record holds, or nothing.
            part = data[done : done + RECORD]
            records.append(sealed(part))
            done += len(part)
    return b"".join(records), done


def seal(connection: SSL.Connection, data: bytes) -> bytes:
    """Return what is to be sent for some bytes, which one record can hold.

    Raises:
        SSL.Error: nothing was taken.

    """
    connection.send(data)
    return connection.bio_read(MOST)
