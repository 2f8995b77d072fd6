"""Answers from the plant's zones, held to dnspython: it reads each one, and knows itself what is right."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st
from tests.rig.dns_zone import RECORDS, Reference, plant, responder
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.dns.zone import REFUSAL, Plant

ZONES = plant()
REFERENCE = Reference(ZONES)
WITHIN = "gate _scale._tcp _tcp www ftp away broken nothing bin x.bin y.x.bin *.bin a.b.c b.c z.b.c many ns"
NAMES = [
    *(f"{name}.plant.example." for name in WITHIN.split()),
    "plant.example.",
    "example.",
    "other.example.",
    "notplant.example.",
    ".",
    "5.0.0.10.in-addr.arpa.",
    "99.0.0.10.in-addr.arpa.",
    "0.0.10.in-addr.arpa.",
    "10.in-addr.arpa.",
]
KINDS = ["A", "AAAA", "CNAME", "PTR", "SRV", "TXT", "SOA", "NS", "MX", "TYPE65"]


def sections(message: dns.message.Message) -> set[tuple[str, frozenset[str]]]:
    """Return the answer section, comparable."""
    return {comparable(each) for each in message.answer}


def comparable(records: dns.rrset.RRset) -> tuple[str, frozenset[str]]:
    """Return a record set without its order."""
    head = f"{str(records.name).lower()} {records.ttl} {dns.rdatatype.to_text(records.rdtype)}"
    return head, frozenset(each.to_text().lower() for each in records)


class Asking(SynchronousTestCase):
    """One responder, asked by messages of dnspython."""

    def setUp(self) -> None:
        self.responder, self.failures = responder(ZONES)
        self.addCleanup(lambda: self.assertEqual([], self.failures))

    def udp(self, query: dns.message.Message) -> dns.message.Message:
        wire = self.responder.over_udp(query.to_wire())
        assert wire is not None
        answer = dns.message.from_wire(wire)
        self.assertTrue(query.is_response(answer))
        return answer

    def tcp(self, query: dns.message.Message) -> dns.message.Message:
        wire = self.responder.over_tcp(query.to_wire())
        assert wire is not None
        return dns.message.from_wire(wire)


class Right(Asking):
    """What is answered."""

    @given(st.sampled_from(NAMES), st.sampled_from(KINDS), st.booleans())
    def test_as_the_reference_does(self, name: str, kind: str, edns: bool) -> None:
        """Every name and type gets the code, the records and the SOA that the RFCs want; never recursion."""
        query = dns.message.make_query(name, kind, use_edns=0 if edns else False)
        answer = self.tcp(query)
        rcode, wanted, negative = REFERENCE.ask(query)
        self.assertEqual(answer.rcode(), rcode)
        self.assertEqual(sections(answer), {comparable(each) for each in wanted})
        soas = [each for each in answer.authority if each.rdtype == dns.rdatatype.SOA]
        self.assertEqual(len(soas), int(negative))
        self.assertEqual(bool(answer.flags & dns.flags.AA), rcode != dns.rcode.REFUSED)
        self.assertFalse(answer.flags & dns.flags.RA)
        self.assertTrue(answer.flags & dns.flags.RD)

    def test_negative_answers_have_a_short_life(self) -> None:
        """The SOA's ttl and minimum say how long others may remember that there is nothing (RFC 2308)."""
        [soa] = self.tcp(dns.message.make_query("nothing.plant.example.", "A")).authority
        self.assertEqual((soa.ttl, soa[0].minimum, soa[0].serial), (60, 60, 7))

    def test_mixed_case_comes_back(self) -> None:
        """Who mixes upper and lower case at random gets the question and the owner back as asked."""
        wire = self.responder.over_udp(dns.message.make_query("GaTe.pLant.EXAMPLE.", "A").to_wire())
        assert wire is not None
        self.assertIn(b"\x04GaTe\x05pLant\x07EXAMPLE", wire)
        self.assertEqual(wire.lower().count(b"plant"), 1)

    def test_a_service_brings_its_addresses(self) -> None:
        """The hosts of SRV records that are ours stand in the additional section, the names uncompressed."""
        query = dns.message.make_query("_scale._tcp.plant.example.", "SRV")
        answer = self.udp(query)
        beside = {(str(each.name), dns.rdatatype.to_text(each.rdtype)) for each in answer.additional}
        self.assertEqual(beside, {("gate.plant.example.", "A"), ("gate.plant.example.", "AAAA")})
        wire = self.responder.over_udp(query.to_wire())
        assert wire is not None
        self.assertIn(b"\x1b\x59\x04gate\x05plant\x07example\x00", wire)

    def test_any_is_minimal(self) -> None:
        """ANY gets one record that says why there are no more, NODATA or NXDOMAIN (RFC 8482)."""
        [found] = self.udp(dns.message.make_query("plant.example.", "ANY")).answer
        self.assertEqual((found.rdtype, found[0].cpu), (dns.rdatatype.HINFO, b"RFC8482"))
        self.assertEqual(self.udp(dns.message.make_query("b.c.plant.example.", "ANY")).answer, [])
        nothing = self.udp(dns.message.make_query("nothing.plant.example.", "ANY"))
        self.assertEqual(nothing.rcode(), dns.rcode.NXDOMAIN)


class Refused(Asking):
    """What is not answered."""

    def test_other_classes_zone_transfers_and_what_is_not_ours(self) -> None:
        """REFUSED, without a record and without authority."""
        for name, kind, klass in (
            ("version.bind.", "TXT", "CH"),
            ("plant.example.", "A", "CH"),
            ("plant.example.", "AXFR", "IN"),
            ("plant.example.", "IXFR", "IN"),
            ("example.org.", "A", "IN"),
            (".", "NS", "IN"),
        ):
            answer = self.tcp(dns.message.make_query(name, kind, klass))
            self.assertEqual(answer.rcode(), dns.rcode.REFUSED, name)
            self.assertEqual((answer.answer, answer.authority), ([], []))
            self.assertFalse(answer.flags & dns.flags.AA)

    def test_other_operations(self) -> None:
        """NOTIMP for an update or a notification, by the header alone."""
        for opcode in (dns.opcode.UPDATE, dns.opcode.NOTIFY, dns.opcode.STATUS, 15):
            query = dns.message.make_query("plant.example.", "SOA")
            query.set_opcode(opcode)  # type: ignore[arg-type]
            answer = self.responder.over_udp(query.to_wire())
            assert answer is not None
            self.assertEqual((len(answer), answer[3] & 15, answer[:2]), (12, dns.rcode.NOTIMP, query.to_wire()[:2]))

    def test_answers_and_scraps_are_met_with_silence(self) -> None:
        """Two servers must not answer each other for ever."""
        reply = dns.message.make_response(dns.message.make_query("plant.example.", "SOA"))
        for packet in (reply.to_wire(), b"", b"\0" * 11):
            self.assertIsNone(self.responder.over_udp(packet))
        self.assertEqual(self.responder.silent, 3)

    def test_what_cannot_be_read(self) -> None:
        """FORMERR: no question, two, a pointer in it, bytes after it, two OPT records, one that has a name."""
        good = dns.message.make_query("gate.plant.example.", "A").to_wire()
        opt = bytes.fromhex("00002904d000000000 0000".replace(" ", ""))
        for packet in (
            good[:4] + b"\0\0" + good[6:],
            good[:4] + b"\0\2" + good[6:] + good[12:],
            good[:12] + b"\xc0\x0c\0\1\0\1",
            good[:-1],
            good + b"\0",
            good[:10] + b"\0\2" + good[12:] + opt + opt,
            good[:10] + b"\0\1" + good[12:] + b"\x01a" + opt,
            good[:10] + b"\0\1" + good[12:] + opt[:-1] + b"\5abcd",
        ):
            answer = self.responder.over_udp(packet)
            assert answer is not None
            self.assertEqual((len(answer), answer[3] & 15), (12, dns.rcode.FORMERR), packet)


class Sizes(Asking):
    """EDNS and truncation."""

    def test_cut_at_whole_sets_only(self) -> None:
        """What does not fit is left out as a whole and said to be; over TCP it is all there."""
        query = dns.message.make_query("many.plant.example.", "TXT", use_edns=0, payload=4096)
        wire = self.responder.over_udp(query.to_wire())
        assert wire is not None
        answer = dns.message.from_wire(wire)
        self.assertTrue(answer.flags & dns.flags.TC)
        self.assertEqual(answer.answer, [])
        self.assertEqual(len(self.tcp(query).answer[0]), 30)

    def test_what_fits_is_not_cut_for_what_is_beside_it(self) -> None:
        """Addresses of a service that do not fit are no reason to come over TCP."""
        hosts = [{"name": f"h{n:02}", "type": "A", "value": f"10.0.0.{n}"} for n in range(1, 13)]
        service = {"name": "_s._tcp", "type": "SRV", "value": [f"0 0 1 h{n:02}" for n in range(1, 13)]}
        made, _ = responder(plant([*hosts, service]))
        wire = made.over_udp(dns.message.make_query("_s._tcp.plant.example.", "SRV").to_wire())
        assert wire is not None
        answer = dns.message.from_wire(wire)
        self.assertLessEqual(len(wire), 512)
        self.assertFalse(answer.flags & dns.flags.TC)
        self.assertEqual(len(answer.answer[0]), 12)
        self.assertLess(len(answer.additional), 12)

    @given(st.integers(0, 65_535))
    def test_never_larger_than_asked(self, size: int) -> None:
        """At least 512 bytes, at most what was asked, and never more than 1,232."""
        for name, kind in (("many", "TXT"), ("_scale._tcp", "SRV"), ("nothing", "A")):
            query = dns.message.make_query(f"{name}.plant.example.", kind, use_edns=0, payload=size)
            wire = self.responder.over_udp(query.to_wire())
            assert wire is not None
            self.assertLessEqual(len(wire), min(max(size, 512), 1232))
            self.assertEqual(dns.message.from_wire(wire).payload, 1232)

    def test_only_who_speaks_edns_is_spoken_to_so(self) -> None:
        """No OPT record without one; DO comes back; unknown options are ignored; a later version is BADVERS."""
        plain = dns.message.make_query("gate.plant.example.", "A", use_edns=False)
        self.assertEqual(self.udp(plain).edns, -1)
        option = dns.edns.GenericOption(dns.edns.OptionType.make(65_001), b"whatever")
        asked = dns.message.make_query("gate.plant.example.", "A", use_edns=0, want_dnssec=True, options=[option])
        answer = self.udp(asked)
        self.assertEqual((answer.edns, answer.options, bool(answer.ednsflags & dns.flags.DO)), (0, (), True))
        later = self.udp(dns.message.make_query("gate.plant.example.", "A", use_edns=1))
        self.assertEqual((later.rcode(), later.edns, later.answer), (dns.rcode.BADVERS, 0, []))

    def test_refusals_are_no_larger_than_questions(self) -> None:
        """Nobody is of use to who sends small packets in another one's name."""
        for query in (
            dns.message.make_query("many.plant.example.", "TXT", use_edns=0, payload=4096),
            dns.message.make_query("gate.plant.example.", "A", use_edns=False),
        ):
            packet = query.to_wire()
            for answer in (self.responder.refuse(packet), self.responder.cut(packet)):
                assert answer is not None
                self.assertLessEqual(len(answer), len(packet))
                self.assertTrue(query.is_response(dns.message.from_wire(answer)))


class Remembered(Asking):
    """The cache."""

    def test_entries_fall_with_a_change(self) -> None:
        """What is remembered is used by its question without the id, and forgotten when told."""
        query = dns.message.make_query("gate.plant.example.", "A").to_wire()
        answer = self.responder.over_udp(query)
        assert answer is not None
        self.assertEqual(self.responder.kept, {query[2:]: answer[2:]})
        self.responder.forget()
        self.assertEqual(self.responder.kept, {})

    def test_errors_are_not_remembered(self) -> None:
        """Nor what nobody would ask twice: its room is others'."""
        refused = dns.message.make_query("example.org.", "A").to_wire()
        self.responder.over_udp(refused)
        self.responder.over_udp(b"\0" * 12)
        self.assertEqual(self.responder.kept, {})

    def test_a_failure_is_said_and_is_no_end(self) -> None:
        """What should never happen gets SERVFAIL, a line in the log, and the next question its answer."""
        made, failures = responder(plant())
        query = dns.message.make_query("gate.plant.example.", "A").to_wire()
        original = Plant.find
        self.patch(Plant, "find", lambda *_: 1 / 0)
        answer = made.over_udp(query)
        assert answer is not None
        self.assertEqual((answer[3] & 15, list(failures)), (dns.rcode.SERVFAIL, ["failed"]))
        self.patch(Plant, "find", original)
        answer = made.over_udp(query)
        assert answer is not None
        self.assertEqual(answer[3] & 15, dns.rcode.NOERROR)


class Health(SynchronousTestCase):
    """What is down."""

    RECORDS = (
        {"name": "erp", "type": "A", "value": "10.0.0.1", "when": {"source": "one"}},
        {"name": "erp", "type": "A", "value": "10.0.0.2", "when": {"target": "two"}},
        {"name": "lone", "type": "A", "value": "10.0.0.3", "when": {"check": "tcp:10.0.0.3:1"}},
        {"name": "alias", "type": "CNAME", "value": "erp"},
    )

    def addresses(self, zones: Plant, name: str) -> tuple[set[str], set[int]]:
        made, _ = responder(zones)
        wire = made.over_udp(dns.message.make_query(f"{name}.plant.example.", "A").to_wire())
        assert wire is not None
        sets = [each for each in dns.message.from_wire(wire).answer if each.rdtype == dns.rdatatype.A]
        return {each.address for records in sets for each in records}, {records.ttl for records in sets}

    def test_one_leaves_and_comes_back(self) -> None:
        """Of two servers one is down: the other alone is answered, also behind an alias, for a short time."""
        zones = plant(self.RECORDS)
        both = {"10.0.0.1", "10.0.0.2"}
        self.assertEqual(self.addresses(zones, "erp"), (both, {5}))
        zones.see({"source one"}, 8)
        self.assertEqual(self.addresses(zones, "erp"), ({"10.0.0.2"}, {5}))
        self.assertEqual(self.addresses(zones, "alias"), ({"10.0.0.2"}, {5}))
        self.assertEqual(zones.fallen, frozenset())
        zones.see(set(), 9)
        self.assertEqual(self.addresses(zones, "erp"), (both, {5}))

    def test_all_are_answered_where_all_are_down(self) -> None:
        """The names are told; a check that is wrong must not take a plant off the network."""
        zones = plant(self.RECORDS)
        zones.see({"source one", "target two", "check tcp:10.0.0.3:1"}, 8)
        self.assertEqual(self.addresses(zones, "erp"), ({"10.0.0.1", "10.0.0.2"}, {5}))
        self.assertEqual(len(zones.fallen), 2)

    def test_or_leave_where_that_is_asked_for(self) -> None:
        """The name stays, and has no records: NODATA, with the SOA."""
        zones = plant(self.RECORDS, all_down="leave")
        zones.see({"check tcp:10.0.0.3:1"}, 8)
        self.assertEqual(self.addresses(zones, "lone"), (set(), set()))
        found = zones.find((b"lone", b"plant", b"example"), 1, 1)
        self.assertEqual((found.rcode, len(found.authority), found.answer), (0, 1, ()))
        self.assertNotEqual(found, REFUSAL)

    def test_every_record_is_shown(self) -> None:
        """What is listed is what dnspython reads as a zone, with every name that the configuration has."""
        names = {str(name) for zone in REFERENCE.zones.values() for name in zone.nodes}
        for record in RECORDS:
            name = record["name"]
            self.assertIn("plant.example." if name == "@" else f"{name}.plant.example.", names)
