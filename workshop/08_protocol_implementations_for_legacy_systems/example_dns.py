"""A DNS server that tells scanners where to connect: to the first gateway that answers, and to the next when it fails.

Plain twisted is enough for this one.

    python example_dns.py --gateway 10.0.0.5:7001 --gateway 10.0.0.6:7001 [--port N] [--every SECONDS]
    dig @127.0.0.1 -p PORT SRV _scanner._tcp.plant.test
"""

import argparse
import sys

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall, react
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DomainError
from twisted.names.server import DNSServerFactory

ZONE = b"plant.test"
SERVICE = b"_scanner._tcp." + ZONE
TTL = 5  # seconds for which an answer may be kept: so long a scanner may look for a gateway that is gone
SOA = dns.RRHeader(
    ZONE, dns.SOA, ttl=TTL, auth=True, payload=dns.Record_SOA(b"ns." + ZONE, b"it." + ZONE, 1, minimum=TTL)
)


class Gateway:
    """A gateway that scanners may connect to. The one with the lowest priority is the first choice."""

    def __init__(self, priority, address):
        host, _, port = address.partition(":")
        self.host, self.port, self.answers = host, int(port), True
        self.name = b"gateway%d." % priority + ZONE
        service = dns.Record_SRV(priority, weight=0, port=self.port, target=self.name)
        self.srv = dns.RRHeader(SERVICE, dns.SRV, ttl=TTL, payload=service, auth=True)
        self.a = dns.RRHeader(self.name, dns.A, ttl=TTL, payload=dns.Record_A(host), auth=True)

    async def look(self, reactor):
        """Find out whether it accepts connections now."""
        endpoint = TCP4ClientEndpoint(reactor, self.host, self.port, timeout=1)
        try:
            connected = await endpoint.connect(Factory.forProtocol(Protocol))
            connected.transport.loseConnection()
            answers = True
        except ConnectError:
            answers = False
        if answers != self.answers:
            print(f"{self.host}:{self.port} {'answers again' if answers else 'does not answer'}", flush=True)
        self.answers = answers


class Zone:
    """The plant's names; those who ask get the gateways that answer, or all where none does."""

    def __init__(self, gateways):
        self.gateways = gateways

    def records(self):
        living = [gateway for gateway in self.gateways if gateway.answers] or self.gateways
        records = {ZONE: [SOA], b"_tcp." + ZONE: [], SERVICE: [gateway.srv for gateway in living]}
        return records | {gateway.name: [gateway.a] for gateway in self.gateways}

    def query(self, query, timeout=None):
        """Return a Deferred of three lists: answers, authority, additional; twisted.names asks like this."""
        name, records = query.name.name.lower(), self.records()
        if name != ZONE and not name.endswith(b"." + ZONE):
            return fail(DomainError(name))
        if name not in records:
            return fail(AuthoritativeDomainError(name))
        answers = [record for record in records[name] if query.type in {record.type, dns.ALL_RECORDS}]
        addresses = [gateway.a for gateway in self.gateways if gateway.srv in answers]
        return succeed((answers, [] if answers else [SOA], addresses))


class Names(DNSServerFactory):
    """Answers for the zone and asks nobody else: an open resolver would be used to attack others."""

    def __init__(self, zone):
        super().__init__()
        self.resolver = zone

    def gotResolverError(self, failure, protocol, message, address):
        ours = failure.check(AuthoritativeDomainError)
        reply = dns.Message(
            message.id, auth=bool(ours), recDes=message.recDes, rCode=dns.ENAME if ours else dns.EREFUSED
        )
        reply.queries, reply.authority = message.queries, [SOA] if ours else []
        reply.timeReceived = message.timeReceived
        self.sendReply(protocol, reply, address)

    def sendReply(self, protocol, message, address):
        message.answer = 1  # a refusal by twisted.names itself lacks it
        message.maxSize = 512 if address else 0  # by UDP; what is longer is marked as cut, and asked for by TCP
        super().sendReply(protocol, message, address)


async def main(reactor, *arguments):
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gateway", required=True, action="append", metavar="HOST:PORT")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--every", type=float, default=1, metavar="SECONDS")
    given = options.parse_args(arguments)
    gateways = [Gateway(priority, address) for priority, address in enumerate(given.gateway, 1)]
    names = Names(Zone(gateways))
    listening = await TCP4ServerEndpoint(reactor, given.port, interface="127.0.0.1").listen(names)
    port = listening.getHost().port
    reactor.listenUDP(port, dns.DNSDatagramProtocol(names), interface="127.0.0.1")
    print(f"names: listening on 127.0.0.1:{port}", flush=True)
    looks = LoopingCall(lambda: DeferredList([Deferred.fromCoroutine(each.look(reactor)) for each in gateways]))
    await looks.start(given.every)


if __name__ == "__main__":
    react(main, sys.argv[1:])
