"""DNS over UDP: many datagrams a turn of the reactor, each answered straight to the socket."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.dns.batches import COUNT, ROOM, Batch
from lineside.edges.dns.responder import Responder
from lineside.edges.dns.visitors import Allowance, Visitors, packed

TURN = 2 * COUNT
"""Datagrams that are read before others in the gateway have their turn."""
SLIP = 2
"""Of the datagrams over the rate each so-many-th is told to come over TCP, which forged addresses cannot."""
BUFFER = 4 * 1024 * 1024
"""Bytes asked of the operating system for questions that are not read yet."""


@implementer(IReadDescriptor)
class DatagramDoor:
    """Reads questions from a socket and sends the answers, one by one, where there is no better way.

    The kernel takes an answer or drops it, as the network may: whoever asked asks again.

    Args:
        handle: bound, and not blocking.
        responder: makes the answers.
        visitors: say who may have one.

    """

    def __init__(self, handle: socket.socket, responder: Responder, visitors: Visitors) -> None:
        self.handle = handle
        self.responder = responder
        self.visitors = visitors
        self.limited = 0
        """Datagrams that were over the rate."""
        self.unsent = 0
        """Answers that the operating system did not take."""

    def fileno(self) -> int:
        """Return the socket's number."""
        return self.handle.fileno()

    def logPrefix(self) -> str:
        """Return the name under which the reactor tells of errors."""
        return "dns"

    def doRead(self) -> Failure | None:
        """Answer what waits, up to `TURN` datagrams."""
        for _ in range(TURN):
            try:
                packet, address = self.handle.recvfrom(ROOM)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                # An answer before met a closed port; the error is told here, and is nobody's.
                continue
            answer = self.answer(packet, self.visitors.find(packed(address[0])))
            if answer is not None:
                try:
                    self.handle.sendto(answer, address)
                except OSError:
                    self.unsent += 1
        return None

    def answer(self, packet: bytes, allowance: Allowance) -> bytes | None:
        """Return the answer to a datagram; None for silence."""
        allowance.left -= 1
        if allowance.left < 0 or not allowance.allowed:
            return self.exceptional(packet, allowance)
        found = self.responder.kept.get(packet[2:])
        if found is None:
            return self.responder.over_udp(packet)
        self.responder.hits += 1
        self.responder.answered[found[1] & 0x0F] += 1
        return packet[:2] + found

    def exceptional(self, packet: bytes, allowance: Allowance) -> bytes | None:
        """Return the answer for who may have none, or had too many already."""
        if allowance.left >= 0:
            return self.responder.refuse(packet)
        self.limited += 1
        allowance.over += 1
        if allowance.over % SLIP or not allowance.allowed:
            return None
        return self.responder.cut(packet)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Close the socket."""
        self.handle.close()


class BatchedDoor(DatagramDoor):
    """The same, `COUNT` datagrams in one call of the kernel.

    Raises:
        OSError: this system has no such calls.

    """

    def __init__(self, handle: socket.socket, responder: Responder, visitors: Visitors) -> None:
        super().__init__(handle, responder, visitors)
        self._batch = Batch(handle)

    def doRead(self) -> Failure | None:
        """Answer what waits, up to `TURN` datagrams."""
        for _ in range(TURN // COUNT):
            lengths = self._batch.receive()
            if lengths:
                self._answer_all(lengths)
            if len(lengths) < COUNT:
                break
        return None

    def _answer_all(self, lengths: list[int]) -> None:
        batch, responder, known = self._batch, self.responder, self.visitors.known
        content, view, sizes, addresses = batch.content, batch.view, batch.sizes, batch.addresses
        kept, answered, stride = responder.kept, responder.answered, batch.stride
        begin, end, hits, at = batch.at, batch.end, 0, 0
        silent: list[int] = []
        for index, length in enumerate(lengths):
            who = addresses[begin:end]
            begin += stride
            end += stride
            allowance = known.get(who) or self.visitors.find(who)
            found = kept.get(content[at + 2 : at + length])
            if found is not None and allowance.left > 0 and allowance.allowed:
                # Most are these: nothing is called, and the id stays where it is.
                allowance.left -= 1
                hits += 1
                answered[found[1] & 0x0F] += 1
                size = len(found) + 2
                view[at + 2 : at + size] = found
                sizes[index] = size
            else:
                answer = self.answer(content[at : at + length], allowance)
                if answer is None:
                    silent.append(index)
                else:
                    size = len(answer)
                    view[at : at + size] = answer
                    sizes[index] = size
            at += ROOM
        responder.hits += hits
        self.unsent += batch.send(len(lengths), silent)


def door_of(handle: socket.socket, responder: Responder, visitors: Visitors) -> DatagramDoor:
    """Return the best door that this system has."""
    try:
        return BatchedDoor(handle, responder, visitors)
    except OSError:
        return DatagramDoor(handle, responder, visitors)


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
