"""Answers of DNS, as bytes: compressed, and cut at whole record sets only (RFC 2181, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct as Layout

from lineside.wire.dnsnames import Name
from lineside.wire.dnsqueries import AUTHORITATIVE, BADVERS, HEADER, KEPT, OPCODE, RESPONSE, TRUNCATED, Query
from lineside.wire.dnsrecords import IN, OPT, RecordSet

PLAIN = 512
"""Bytes that every sender of questions takes over UDP."""
LARGEST = 1_232
"""Bytes that no network on the way takes apart, whatever the sender believes (DNS Flag Day 2020)."""
WHOLE = 65_535
"""Bytes of an answer over TCP."""
_OPT = Layout(">BHHBBHH")
_RECORD = Layout(">HHIH")
_REACH = 0x4000
"""A pointer leads no further."""


def udp_limit(query: Query) -> int:
    """Return how large the answer to a question may be over UDP."""
    return PLAIN if query.edns is None else min(max(query.edns.size, PLAIN), LARGEST)


def compose(
    query: Query,
    rcode: int,
    answer: Sequence[RecordSet] = (),
    authority: Sequence[RecordSet] = (),
    additional: Sequence[RecordSet] = (),
    *,
    limit: int,
    authoritative: bool = False,
    truncated: bool = False,
) -> bytes:
    """Return an answer; its first two bytes are for the id.

    Where a record set of the answer or authority does not fit, it and all after it are left out and TC is set. One
    of the additional section is just left out.

    Args:
        query: what was asked.
        rcode: up to `BADVERS`.
        answer: that section.
        authority: that section.
        additional: that section, but for OPT, which is added where the question has one.
        limit: bytes, `PLAIN` at least.
        authoritative: AA.
        truncated: nothing fits for other reasons; TC.

    """
    edns = query.edns
    writing = _Writing(query, limit - (0 if edns is None else _OPT.size))
    counts = [0, 0, 0]
    for index, section in enumerate((answer, authority)):
        for records in section:
            if truncated or not writing.records(records):
                truncated = True
                break
            counts[index] += len(records.data)
    if not truncated:
        for records in additional:
            if writing.records(records):
                counts[2] += len(records.data)
    buffer = writing.buffer
    if edns is not None:
        counts[2] += 1
        dnssec_ok = 0x8000 if edns.dnssec_ok else 0
        buffer += _OPT.pack(0, OPT, LARGEST, rcode >> 4, 0, dnssec_ok, 0)
    flags = RESPONSE | query.flags & KEPT | rcode & 0x0F
    flags |= (AUTHORITATIVE if authoritative else 0) | (TRUNCATED if truncated else 0)
    HEADER.pack_into(buffer, 0, 0, flags, 1, *counts)
    return bytes(buffer)


def complain(packet: bytes, rcode: int) -> bytes:
    """Return the answer to what is no question: the header alone, with the sender's id."""
    assert rcode < BADVERS
    flags = int.from_bytes(packet[2:4], "big")
    return packet[:2] + HEADER.pack(0, RESPONSE | flags & (OPCODE | KEPT) | rcode, 0, 0, 0, 0)[2:]


class _Writing:
    def __init__(self, query: Query, limit: int) -> None:
        self.buffer = bytearray(HEADER.size) + query.question
        self._limit = limit
        self._places: dict[Name, int] = {}
        at = HEADER.size
        for index, label in enumerate(query.name):
            self._places[query.name[index:]] = at
            at += 1 + len(label)

    def records(self, records: RecordSet) -> bool:
        """Add a record set; nothing of it, and false, where it does not fit."""
        buffer, begin = self.buffer, len(self.buffer)
        for data in records.data:
            self._name(records.name)
            buffer += _RECORD.pack(records.type, IN, records.ttl, 0)
            at = len(buffer)
            for part in data:
                if isinstance(part, bytes):
                    buffer += part
                else:
                    self._name(part)
            buffer[at - 2 : at] = (len(buffer) - at).to_bytes(2, "big")
            if len(buffer) > self._limit:
                del buffer[begin:]
                self._places = {name: place for name, place in self._places.items() if place < begin}
                return False
        return True

    def _name(self, name: Name) -> None:
        buffer = self.buffer
        for index, label in enumerate(name):
            rest = name[index:]
            place = self._places.get(rest)
            if place is not None:
                buffer += (0xC000 | place).to_bytes(2, "big")
                return
            if len(buffer) < _REACH:
                self._places[rest] = len(buffer)
            buffer.append(len(label))
            buffer += label
        buffer.append(0)
