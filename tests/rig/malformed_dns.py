"""Packets that nobody should send, and what may be answered to them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import dns.exception
import dns.message
import dns.name
import dns.rcode
from tests.rig.dns_zone import plant, responder

from lineside.wire.dnsanswers import LARGEST

ORIGINS = [dns.name.from_text(text) for text in ("plant.example.", "0.0.10.in-addr.arpa.")]
NAMES = (
    "gate.plant.example.",
    "many.plant.example.",
    "x.bin.plant.example.",
    "5.0.0.10.in-addr.arpa.",
    "a.org.",
    ".",
)
KINDS = ("A", "TXT", "SRV", "ANY", "SOA", "AXFR", "OPT", "TYPE65535")


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Yield packets made of real ones by flips, cuts, insertions and joints; the same for a seed."""
    random = Random(seed)
    real = [
        dns.message.make_query(name, kind, use_edns=edns, payload=4096, id=4711).to_wire()
        for name in NAMES
        for kind in KINDS
        for edns in (False, 0)
    ]
    real.append(dns.message.make_response(dns.message.make_query(NAMES[0], "A", id=4711)).to_wire())
    for _ in range(count):
        packet = bytearray(random.choice(real))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(packet) + 1)
            match random.randrange(7):
                case 0:
                    packet[at : at + 1] = bytes((random.randrange(256),))
                case 1:
                    del packet[at:]
                case 2:
                    packet[at:at] = random.randbytes(random.randint(1, 40))
                case 3:
                    packet[at : at + 2] = bytes((0xC0 | random.randrange(64), random.randrange(256)))
                case 4:
                    packet[at : at + 1] = random.choice((b"\x00", b"\xff", b"\x3f", b"\x40", b"\x80"))
                case 5:
                    packet += random.choice(real)[random.randrange(12) :]
                case 6:
                    at = random.randrange(2, 12)
                    packet[at : at + 1] = bytes((random.randrange(256),))
        yield bytes(packet[:4096])


class Judge:
    """One responder, and what is wrong with what it answers."""

    def __init__(self) -> None:
        self._responder, self.failures = responder(plant())
        self.codes: dict[int, int] = {}

    def ask(self, packet: bytes) -> None:
        """Ask by both ways.

        Raises:
            AssertionError: the answer is none that may be given.

        """
        for answer in (self._responder.over_udp(packet), self._responder.over_tcp(packet)):
            self._look(packet, answer)
        for small in (self._responder.refuse(packet), self._responder.cut(packet)):
            assert small is None or len(small) <= len(packet), packet
            self._look(packet, small)
        over_udp = self._responder.over_udp(packet)
        assert over_udp is None or len(over_udp) <= LARGEST, packet
        assert not self.failures, packet

    def _look(self, packet: bytes, answer: bytes | None) -> None:
        if answer is None:
            return
        assert len(packet) >= 12, packet
        assert not packet[2] & 0x80, packet
        assert answer[:2] == packet[:2], packet
        assert answer[2] & 0x80, packet
        if not answer[2] & 0x78:
            message = dns.message.from_wire(answer)
            self.codes[message.rcode()] = self.codes.get(message.rcode(), 0) + 1
            for records in (*message.answer, *message.authority, *message.additional):
                assert any(records.name.is_subdomain(origin) for origin in ORIGINS), (packet, records)
        else:
            assert len(answer) == 12, packet
