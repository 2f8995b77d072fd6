"""From a packet to its answer: the plant's zones, by the rules of DNS. Pure."""

from __future__ import annotations

from collections.abc import Callable

from lineside.edges.dns.zone import Plant
from lineside.wire.dnsanswers import PLAIN, WHOLE, complain, compose, udp_limit
from lineside.wire.dnsqueries import (
    BADVERS,
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    Query,
    Silence,
    Unanswerable,
    parse_query,
)

KEPT = 8_192
"""Answers that are remembered; all are forgotten when there would be more."""
RCODES = {
    NOERROR: "NOERROR",
    FORMERR: "FORMERR",
    SERVFAIL: "SERVFAIL",
    NXDOMAIN: "NXDOMAIN",
    NOTIMP: "NOTIMP",
    REFUSED: "REFUSED",
}


class Responder:
    """Answers questions, and counts them.

    Args:
        plant: its zones.
        failed: is called with what went wrong where an answer could not be made; SERVFAIL is answered then.

    """

    def __init__(self, plant: Plant, failed: Callable[[], None]) -> None:
        self._plant = plant
        self._failed = failed
        self.kept: dict[bytes, bytes] = {}
        """Answers over UDP, without their ids, by what was asked, without its id. Whoever uses them looks into
        nothing else, so that `forget` must be called when the plant changes."""
        self.answered = [0] * 16
        """Answers by their code, the version that nobody knows among `NOERROR`'s."""
        self.hits = 0
        """Answers that were remembered; part of `answered`."""
        self.silent = 0
        """Packets that are answered by nothing."""

    def forget(self) -> None:
        """Remember no answers: the plant is another now."""
        self.kept.clear()

    def over_udp(self, packet: bytes) -> bytes | None:
        """Return the answer to a datagram, at most as large as its sender takes; None to be silent."""
        answer = self._answer(packet, udp=True)
        # What is longer than any honest question, or no question, is not worth its room.
        if answer is not None and len(packet) <= PLAIN and answer[3] & 0x0F in {NOERROR, NXDOMAIN}:
            if len(self.kept) >= KEPT:
                self.kept.clear()
            self.kept[packet[2:]] = answer[2:]
        return answer

    def over_tcp(self, packet: bytes) -> bytes | None:
        """Return the answer to a message of a connection; None to be silent."""
        return self._answer(packet, udp=False)

    def refuse(self, packet: bytes) -> bytes | None:
        """Return the answer for who may ask nothing: never larger than the packet."""
        try:
            query = parse_query(packet)
        except Silence:
            self.silent += 1
            return None
        except Unanswerable:
            self.answered[REFUSED] += 1
            return complain(packet, REFUSED)
        self.answered[REFUSED] += 1
        return packet[:2] + compose(query, REFUSED, limit=PLAIN)[2:]

    def cut(self, packet: bytes) -> bytes | None:
        """Return an answer that only says to ask over TCP, no larger than the packet."""
        try:
            query = parse_query(packet)
        except (Silence, Unanswerable):
            return None
        return packet[:2] + compose(query, NOERROR, limit=PLAIN, truncated=True)[2:]

    def _answer(self, packet: bytes, *, udp: bool) -> bytes | None:
        try:
            query = parse_query(packet)
        except Silence:
            self.silent += 1
            return None
        except Unanswerable as wrong:
            self.answered[wrong.rcode] += 1
            return complain(packet, wrong.rcode)
        try:
            answer = self._answer_to(query, udp_limit(query) if udp else WHOLE)
        except Exception:  # noqa: BLE001 (whatever it is, the next one is to be answered)
            self._failed()
            answer = complain(packet, SERVFAIL)
        self.answered[answer[3] & 0x0F] += 1
        return packet[:2] + answer[2:]

    def _answer_to(self, query: Query, limit: int) -> bytes:
        if query.edns is not None and query.edns.version:
            return compose(query, BADVERS, limit=limit)
        found = self._plant.find(query.name, query.type, query.klass)
        return compose(
            query,
            found.rcode,
            found.answer,
            found.authority,
            found.additional,
            limit=limit,
            authoritative=found.authoritative,
        )
