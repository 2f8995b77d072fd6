"""Names and records of DNS: what a configuration may say, and what becomes of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import dns.name
import dns.rdata
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.dnsnames import NoName, encode_name, name_text, parse_name, reverse_name, reverse_origin
from lineside.wire.dnsrecords import TYPES, data_text, parse_data

PLANT = (b"plant", b"example")
LABEL = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)


class Names(SynchronousTestCase):
    """Text to labels and back."""

    def test_within_and_whole(self) -> None:
        """A name without a last dot is the zone's; with one it is whole; @ is the zone itself."""
        self.assertEqual(parse_name("Gate", PLANT), (b"gate", b"plant", b"example"))
        self.assertEqual(parse_name("gate.other.", PLANT), (b"gate", b"other"))
        self.assertEqual(parse_name("@", PLANT), PLANT)

    def test_what_is_no_name_is_said(self) -> None:
        """Empty and long labels, wrong characters, and an asterisk that is not alone and first."""
        for text in ("", "a..b", "-a", "a-", "a b", "ä", "a.*", "a*", "x" * 64, ".".join(["x" * 60] * 5)):
            with self.assertRaises(NoName, msg=text):
                parse_name(text, PLANT)

    @given(st.lists(LABEL, min_size=1, max_size=6))
    def test_bytes_are_dnspythons(self, labels: list[str]) -> None:
        """A name has the bytes and the text that dnspython gives it."""
        text = ".".join(labels) + "."
        known = dns.name.from_text(text)
        self.assertEqual(encode_name(parse_name(text)), known.to_wire())
        self.assertEqual(name_text(parse_name(text)), known.to_text())

    def test_reverse_names(self) -> None:
        """Addresses and networks have their places below in-addr.arpa and ip6.arpa."""
        self.assertEqual(name_text(reverse_name(ip_address("10.1.2.3"))), "3.2.1.10.in-addr.arpa.")
        self.assertEqual(name_text(reverse_origin(ip_network("10.1.2.0/24"))), "2.1.10.in-addr.arpa.")
        self.assertEqual(name_text(reverse_origin(ip_network("10.0.0.0/8"))), "10.in-addr.arpa.")
        self.assertEqual(name_text(reverse_origin(ip_network("fd00::/16"))), "0.0.d.f.ip6.arpa.")
        for network in ("10.0.0.0/20", "fd00::/63", "0.0.0.0/0"):
            self.assertRaises(NoName, reverse_origin, ip_network(network))


class Records(SynchronousTestCase):
    """Text to data and back."""

    def test_data_is_dnspythons(self) -> None:
        """Each type's data has the text, and so the meaning, that dnspython reads from the same text."""
        for kind, text in (
            ("A", "10.0.0.5"),
            ("AAAA", "fd00::5"),
            ("CNAME", "gate.plant.example."),
            ("PTR", "gate.plant.example."),
            ("SRV", "10 20 7001 gate.plant.example."),
            ("SRV", "0 0 0 ."),
        ):
            known = dns.rdata.from_text("IN", kind, text)
            data = parse_data(kind, text, PLANT)
            wire = b"".join(part if isinstance(part, bytes) else encode_name(part) for part in data)
            self.assertEqual(wire, known.to_wire(), text)
            self.assertEqual(data_text(TYPES[kind], data), known.to_text())

    @given(st.text(max_size=400))
    def test_any_text_is_carried(self, text: str) -> None:
        """A TXT record's strings are the text's UTF-8, and can be read back from the zone file."""
        data = parse_data("TXT", text, PLANT)
        known: Any = dns.rdata.from_text("IN", "TXT", data_text(TYPES["TXT"], data))
        self.assertEqual(b"".join(known.strings), text.encode())
        self.assertEqual(b"".join(data), known.to_wire())  # type: ignore[arg-type]

    def test_what_means_nothing_is_said(self) -> None:
        """The wrong family is named, and a service has four parts within their bounds."""
        for kind, text, said in (
            ("A", "fd00::5", "type AAAA"),
            ("AAAA", "10.0.0.5", "type A"),
            ("A", "10.0.0.256", "no IPv4"),
            ("SRV", "10 7001 gate", "priority, weight, port and host"),
            ("SRV", "0 0 70000 gate", "priority"),
            ("SRV", "0 0 0 gate", "port 0"),
            ("SRV", "0 0 1 *.gate", "no host"),
            ("CNAME", "a b", "no name"),
            ("TXT", "x" * 5000, "4,000"),
        ):
            with self.assertRaisesRegex(ValueError, said):
                parse_data(kind, text, PLANT)
