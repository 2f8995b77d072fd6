"""The stock server of ``twisted.names`` with the benchmark's names: ``python stock.py PORT NAMES``."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

from generator import address
from twisted.internet import reactor
from twisted.names import dns, server
from twisted.names.authority import FileAuthority


class Names(FileAuthority):
    """Names in memory, as ``twisted.names`` holds those of a zone's file."""

    def __init__(self, count: int) -> None:
        self.soa = (b"plant.example", dns.Record_SOA(b"ns.plant.example", b"hostmaster.plant.example"))
        records = {
            b"gate%04d.plant.example" % number: [dns.Record_A(str(IPv4Address(address(number))), 300)]
            for number in range(count)
        }
        self.records = {self.soa[0]: [self.soa[1]], **records}
        super().__init__("")

    def loadFile(self, filename: str) -> None:
        """Read nothing: the names are there."""


def main(port: int, count: int) -> None:
    """Serve for ever."""
    factory = server.DNSServerFactory(authorities=[Names(count)])
    factory.noisy = False
    reactor.listenUDP(port, dns.DNSDatagramProtocol(factory), "127.0.0.1")
    reactor.listenTCP(port, factory, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
