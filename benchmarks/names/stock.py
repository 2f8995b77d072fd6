"""The stock server of ``twisted.names`` with the benchmark's names: ``python stock.py PORT NAMES``."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from typing import Any

from asking import address
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.names import dns, server
from twisted.names.authority import FileAuthority


class Names(FileAuthority):
    """Names in memory, as ``twisted.names`` holds those of a zone's file."""

    def loadFile(self, filename: str) -> None:
        """Read nothing: ``filename`` is how many names there are."""
        top = b"plant.example"
        soa = dns.Record_SOA(b"ns.plant.example", b"hostmaster.plant.example")
        records = {
            b"gate%04d.plant.example" % number: [dns.Record_A(str(IPv4Address(address(number))), 300)]
            for number in range(int(filename))
        }
        vars(self).update(soa=(top, soa), records={top: [soa], **records})


def main(reactor: Any, port: str, count: str) -> Deferred[None]:
    """Serve for ever."""
    factory = server.DNSServerFactory(authorities=[Names(count)])
    factory.noisy = False
    reactor.listenUDP(int(port), dns.DNSDatagramProtocol(factory), "127.0.0.1")
    reactor.listenTCP(int(port), factory, interface="127.0.0.1")
    return Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
