"""Exercise 1 (guided): where to connect.

twisted.names asks an object of yours for records, by one method: ``query(query)``. It returns a Deferred, either of
three lists (answers, authority, additional), or of a failure that says what kind of "no" it is. Write that method for
the plant's zone:

- The question ``SRV _scanner._tcp.plant.test`` is answered with one record for each gateway. The first gateway has
  the priority 1, the next one 2, and so on: scanners try the lowest first.
- The same name asked for another type (an A record, say) exists, but has nothing to say: the answers are empty.
- Any other name that ends in ``.plant.test`` does not exist: fail with AuthoritativeDomainError, which is NXDOMAIN.
- A name of others is none of our business: fail with DomainError.
- In DNS, ``PLANT.test`` and ``plant.test`` are the same name.

``query.name.name`` is the name as bytes, ``query.type`` the type (``dns.SRV``, ``dns.A``, …). What is missing is
marked TODO. See what you have: ``lineside workshop check 8``.
"""

from twisted.internet.defer import fail, succeed
from twisted.names import dns
from twisted.names.error import DomainError  # and AuthoritativeDomainError, which you will need

ZONE = b"plant.test"
SERVICE = b"_scanner._tcp.plant.test"
TTL = 5


class Plant:
    """The plant's zone; a gateway is a name such as ``b"gateway1.plant.test"`` and a port."""

    def __init__(self, gateways):
        self.gateways = gateways

    def query(self, query, timeout=None):
        name = query.name.name  # TODO 1: in DNS, capital letters do not count
        if name != ZONE and not name.endswith(b"." + ZONE):
            return fail(DomainError(name))
        # TODO 2: where the name is not SERVICE, it does not exist.
        # TODO 3: answer with a service record for each gateway; with none where another type was asked for.
        return succeed(([], [], []))

    def service(self, priority, name, port):
        """Return the record that offers a gateway."""
        # TODO 4: 0 is not the priority that was given.
        payload = dns.Record_SRV(0, weight=0, port=port, target=name)
        return dns.RRHeader(SERVICE, dns.SRV, ttl=TTL, payload=payload, auth=True)
