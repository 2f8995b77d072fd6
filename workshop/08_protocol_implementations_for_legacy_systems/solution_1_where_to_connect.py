"""Solution of exercise 1: where to connect."""

from twisted.internet.defer import fail, succeed
from twisted.names import dns
from twisted.names.error import AuthoritativeDomainError, DomainError

ZONE = b"plant.test"
SERVICE = b"_scanner._tcp.plant.test"
TTL = 5


class Plant:
    """The plant's zone; a gateway is a name such as ``b"gateway1.plant.test"`` and a port."""

    def __init__(self, gateways):
        self.gateways = gateways

    def query(self, query, timeout=None):
        name = query.name.name.lower()
        # With its dot: notplant.test ends in plant.test too, and belongs to somebody else.
        if name != ZONE and not name.endswith(b"." + ZONE):
            return fail(DomainError(name))
        if name != SERVICE:
            # "Authoritative" is what makes this a "no such name" that ends the search.
            return fail(AuthoritativeDomainError(name))
        if query.type not in {dns.SRV, dns.ALL_RECORDS}:
            # The name exists. Were this a failure, a scanner that asks for A first would be told that nothing does.
            return succeed(([], [], []))
        services = [self.service(priority, *gateway) for priority, gateway in enumerate(self.gateways, 1)]
        return succeed((services, [], []))

    def service(self, priority, name, port):
        """Return the record that offers a gateway."""
        payload = dns.Record_SRV(priority, weight=0, port=port, target=name)
        return dns.RRHeader(SERVICE, dns.SRV, ttl=TTL, payload=payload, auth=True)
