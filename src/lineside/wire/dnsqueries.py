"""Questions of DNS, read from packets of whoever sends some: RFC 1035, section 4.1, and RFC 6891."""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from lineside.wire.dnsnames import LONGEST, LONGEST_LABEL, Name
from lineside.wire.dnsrecords import OPT

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16

RESPONSE = 0x8000
OPCODE = 0x7800
AUTHORITATIVE = 0x0400
TRUNCATED = 0x0200
KEPT = 0x0110
"""RD and CD, which an answer has as its question had them (RFC 1035, section 4.1.1; RFC 4035, section 3.1.6)."""
HEADER = Layout(">6H")
_RECORD = Layout(">HHIH")
_DNSSEC_OK = 0x8000


class Edns(Struct, frozen=True):
    """What the OPT record of a question says."""

    size: int
    """How large an answer over UDP its sender takes."""
    version: int
    dnssec_ok: bool


class Query(Struct, frozen=True):
    """One question."""

    flags: int
    name: Name
    type: int
    klass: int
    question: bytes
    """As it was asked: whoever mixes upper and lower case at random looks whether it comes back so."""
    edns: Edns | None


class Unanswerable(Exception):
    """It is no question that could be answered.

    Attributes:
        rcode: what to say instead.

    """

    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


class Silence(Exception):
    """It is answered by nothing: too short, or an answer itself, which two servers could exchange for ever."""


def parse_query(packet: bytes) -> Query:
    """Return the question in a packet. Never looks at more than the packet, nor at any byte twice.

    Raises:
        Unanswerable: with the code to answer.
        Silence: nothing may be answered.

    """
    if len(packet) < HEADER.size:
        raise Silence
    _, flags, questions, answers, authorities, others = HEADER.unpack_from(packet)
    if flags & RESPONSE:
        raise Silence
    if flags & OPCODE:
        raise Unanswerable(NOTIMP)
    if questions != 1 or answers or authorities:
        # Nobody agrees on what a second question would mean (RFC 9619).
        raise Unanswerable(FORMERR)
    name, end = _name(packet, HEADER.size)
    if len(packet) < end + 4:
        raise Unanswerable(FORMERR)
    question = packet[HEADER.size : end + 4]
    kind, klass = int.from_bytes(packet[end : end + 2], "big"), int.from_bytes(packet[end + 2 : end + 4], "big")
    edns, end = _additional(packet, end + 4, others)
    if end != len(packet):
        raise Unanswerable(FORMERR)
    return Query(flags, name, kind, klass, question, edns)


def _name(packet: bytes, at: int) -> tuple[Name, int]:
    """Return the question's name, which has nothing before it that a pointer could mean."""
    labels: list[bytes] = []
    begin = at
    while at < len(packet):
        length = packet[at]
        at += 1
        if not length:
            return tuple(labels), at
        if length > LONGEST_LABEL or at + length + 1 - begin > LONGEST:
            break
        labels.append(packet[at : at + length].lower())
        at += length
    raise Unanswerable(FORMERR)


def _additional(packet: bytes, at: int, count: int) -> tuple[Edns | None, int]:
    edns = None
    for _ in range(count):
        nameless = packet[at : at + 1] == b"\0"
        at = _skip_name(packet, at)
        if len(packet) < at + _RECORD.size:
            raise Unanswerable(FORMERR)
        kind, klass, ttl, length = _RECORD.unpack_from(packet, at)
        at += _RECORD.size + length
        if at > len(packet):
            raise Unanswerable(FORMERR)
        if kind != OPT:
            continue
        if edns is not None or not nameless or not _options(packet, at - length, at):
            raise Unanswerable(FORMERR)
        edns = Edns(klass, ttl >> 16 & 0xFF, bool(ttl & _DNSSEC_OK))
    return edns, at


def _options(packet: bytes, at: int, end: int) -> bool:
    """Tell whether options are whole; what they say is nothing that would change an answer."""
    while at < end:
        if at + 4 > end:
            return False
        at += 4 + int.from_bytes(packet[at + 2 : at + 4], "big")
    return at == end


def _skip_name(packet: bytes, at: int) -> int:
    begin = at
    while at < len(packet) and at - begin < LONGEST:
        length = packet[at]
        if not length:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > LONGEST_LABEL:
            break
        at += 1 + length
    raise Unanswerable(FORMERR)
