"""The endpoint of a site is made once, whatever number of requests asks for it."""

from __future__ import annotations

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from lineside.edges.frappe.endpoint import KeptEndpoint
from lineside.edges.frappe.sitepolicy import SitePolicy


@implementer(IPolicyForHTTPS)
class Counted:
    """The product's policy, and for which servers it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        self.asked.append((hostname, port))
        return SitePolicy(None).creatorForNetloc(hostname, port)


class KeptEndpointTests(SynchronousTestCase):
    def test_it_is_made_once_for_each_address(self) -> None:
        """Requests to one site share an endpoint and its TLS settings; another address has its own."""
        policy = Counted()
        kept = KeptEndpoint(MemoryReactorClock(), policy, 10.0)
        first, again, other, plain = (
            kept.endpointForURI(URI.fromBytes(address))
            for address in (
                b"https://erp.example/api/a",
                b"https://erp.example/api/b",
                b"https://erp.example:8443/api/a",
                b"http://erp.example/api/a",
            )
        )
        self.assertIs(first, again)
        self.assertEqual(policy.asked, [(b"erp.example", 443), (b"erp.example", 8443)])
        self.assertEqual(len({id(each) for each in (first, other, plain)}), 3)
        self.assertIsInstance(plain, HostnameEndpoint)
