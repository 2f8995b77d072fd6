"""DNS over UDP: many datagrams a turn of the reactor, each answered straight to the socket."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.dns.responder import Responder
from lineside.edges.dns.visitors import Visitors

TURN = 128
"""Datagrams that are read before others in the gateway have their turn."""
LARGEST = 4_096
"""Bytes that are read of a datagram: no question is longer, and the rest of one that is would not be whole."""
SLIP = 2
"""Of the datagrams over the rate each so-many-th is told to come over TCP, which forged addresses cannot."""
BUFFER = 4 * 1024 * 1024
"""Bytes asked of the operating system for questions that are not read yet."""


@implementer(IReadDescriptor)
class DatagramDoor:
    """Reads questions from a socket and sends the answers.

    `twisted.internet.udp.Port` would do; a third of its time goes into calls between this class' three lines.
    The kernel takes an answer or drops it, as the network may: whoever asked asks again.

    Args:
        handle: bound, and not blocking.
        responder: makes the answers.
        visitors: say who may have one.

    """

    def __init__(self, handle: socket.socket, responder: Responder, visitors: Visitors) -> None:
        self._handle = handle
        self._responder = responder
        self._visitors = visitors
        self.limited = 0
        """Datagrams that were over the rate."""
        self.unsent = 0
        """Answers that the operating system did not take."""

    def fileno(self) -> int:
        """Return the socket's number."""
        return self._handle.fileno()

    def logPrefix(self) -> str:
        """Return the name under which the reactor tells of errors."""
        return "dns"

    def doRead(self) -> Failure | None:
        """Answer what waits, up to `TURN` datagrams."""
        responder, known = self._responder, self._visitors.known
        receive, send = self._handle.recvfrom, self._handle.sendto
        kept, answered, hits = responder.kept, responder.answered, 0
        for _ in range(TURN):
            try:
                packet, address = receive(LARGEST)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # An answer before met a closed port; the error is told here, and is nobody's.
                continue
            allowance = known.get(address[0]) or self._visitors.find(address[0])
            allowance.left -= 1
            if allowance.left < 0 or not allowance.allowed:
                answer = self._exceptional(packet, allowance)
            elif (found := kept.get(packet[2:])) is not None:
                hits += 1
                answered[found[1] & 0x0F] += 1
                answer = packet[:2] + found
            else:
                answer = responder.over_udp(packet)
            if answer is not None and address[1]:
                try:
                    send(answer, address)
                except OSError:
                    self.unsent += 1
        responder.hits += hits
        return None

    def _exceptional(self, packet: bytes, allowance: Any) -> bytes | None:
        if allowance.left >= 0:
            return self._responder.refuse(packet)
        self.limited += 1
        allowance.over += 1
        if allowance.over % SLIP or not allowance.allowed:
            return None
        return self._responder.cut(packet)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Close the socket."""
        self._handle.close()


def open_socket(port: int, interface: str) -> socket.socket:
    """Return a socket for datagrams, bound and not blocking.

    Raises:
        OSError: the address is in use, or not ours.

    """
    family = socket.AF_INET6 if interface and ip_address(interface).version == 6 else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_DGRAM)
    try:
        handle.setblocking(False)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        handle.bind((interface, port))
    except BaseException:
        handle.close()
        raise
    return handle
