"""A plant's zone for tests, and what dnspython makes of it."""

from __future__ import annotations

from ipaddress import ip_network

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone

from lineside.assemble.dnssettings import DnsSettings
from lineside.assemble.zones import entries_of, origins_of
from lineside.edges.dns.responder import Responder
from lineside.edges.dns.zone import AllDown, Plant

RECORDS = (
    {"name": "gate", "type": "A", "value": ["10.0.0.5", "10.0.0.6"]},
    {"name": "gate", "type": "AAAA", "value": "fd00::5"},
    {"name": "_scale._tcp", "type": "SRV", "value": ["0 10 7001 gate", "10 0 7002 far.other.example."]},
    {"name": "www", "type": "CNAME", "value": "gate"},
    {"name": "ftp", "type": "CNAME", "value": "www"},
    {"name": "away", "type": "CNAME", "value": "far.other.example."},
    {"name": "broken", "type": "CNAME", "value": "nothing"},
    {"name": "@", "type": "TXT", "value": ['v=one "two"', "x" * 300, "grüße"]},
    {"name": "*.bin", "type": "A", "value": "10.0.0.7"},
    {"name": "a.b.c", "type": "TXT", "value": "deep"},
    {"name": "many", "type": "TXT", "value": [f"text number {number} " + "y" * 90 for number in range(30)]},
)


def settings(records: object = RECORDS, **more: object) -> DnsSettings:
    """Return settings of a zone ``plant.example`` with a reverse zone."""
    given = {"zone": "plant.example", "reverse": ["10.0.0.0/24"], "records": list(records), **more}  # type: ignore[call-overload]
    return DnsSettings.model_validate(given)


def plant(records: object = RECORDS, all_down: AllDown = "answer", **more: object) -> Plant:
    """Return the zones."""
    made = settings(records, **more)
    return Plant(origins_of(made), entries_of(made), all_down=all_down, serial=7)


class Failures(list[str]):
    """What a responder said to have failed."""

    def note(self) -> None:
        """Note a failure."""
        self.append("failed")


def responder(zones: Plant) -> tuple[Responder, Failures]:
    """Return what answers, and what it fails with."""
    failures = Failures()
    return Responder(zones, failures.note), failures


class Reference:
    """The same zones in dnspython's own hands, and the answers that the RFCs want."""

    def __init__(self, zones: Plant) -> None:
        texts: dict[str, list[str]] = {"plant.example.": [], "0.0.10.in-addr.arpa.": []}
        from lineside.wire.dnsnames import name_text  # noqa: PLC0415 (beside its only use)
        from lineside.wire.dnsrecords import TYPE_NAMES, data_text  # noqa: PLC0415

        for one in zones.records():
            owner = name_text(one.name)
            top = next(top for top in texts if owner == top or owner.endswith("." + top))
            texts[top] += [
                f"{owner} {one.ttl} IN {TYPE_NAMES[one.type]} {data_text(one.type, d)}" for d in one.data
            ]
        self.zones = {
            dns.name.from_text(top): dns.zone.from_text("\n".join(lines), origin=top, relativize=False)
            for top, lines in texts.items()
        }

    def ask(self, query: dns.message.Message) -> tuple[int, list[dns.rrset.RRset], bool]:
        """Return the code, the answer section, and whether the SOA stands in the authority section."""
        question = query.question[0]
        name, kind = question.name, question.rdtype
        answer: list[dns.rrset.RRset] = []
        top = self._top(name)
        if top is None or question.rdclass != 1:
            return dns.rcode.REFUSED, [], False
        while True:
            zone = self.zones[top]
            node = self._node(zone, name)
            if node is None:
                return dns.rcode.NXDOMAIN, answer, True
            found = next((each for each in node if each.rdtype == kind), None)
            if found is not None:
                return dns.rcode.NOERROR, [*answer, dns.rrset.from_rdata_list(name, found.ttl, list(found))], False
            alias = next((each for each in node if each.rdtype == dns.rdatatype.CNAME), None)
            if alias is None:
                return dns.rcode.NOERROR, answer, True
            answer.append(dns.rrset.from_rdata_list(name, alias.ttl, list(alias)))
            name = alias[0].target
            further = self._top(name)
            if further is None:
                return dns.rcode.NOERROR, answer, False
            top = further

    def _top(self, name: dns.name.Name) -> dns.name.Name | None:
        return next((top for top in self.zones if name.is_subdomain(top)), None)

    def _node(self, zone: dns.zone.Zone, name: dns.name.Name) -> list[dns.rdataset.Rdataset] | None:
        names = [each for each in zone.nodes if isinstance(each, dns.name.Name)]
        if any(each.is_subdomain(name) for each in names):
            node = zone.get_node(name)
            return [] if node is None else list(node.rdatasets)
        closest = name.parent()
        while not any(each.is_subdomain(closest) for each in names):
            closest = closest.parent()
        node = zone.get_node(dns.name.Name([b"*", *closest.labels]))
        return None if node is None else list(node.rdatasets)


NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
