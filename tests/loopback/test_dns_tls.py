"""With ``srv+https`` the certificate is the configured site's, whatever name a forged answer gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from tests.rig.certificates import Authority
from tests.rig.dns_zone import settings
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from lineside.assemble.config import load
from lineside.assemble.edges import frappe_client
from lineside.assemble.naming import dns_view
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.standin.tls import read_identity

CONFIGURATION = """
[dns]
servers = ["127.0.0.1:DNS"]

[targets.erp]
type = "frappe"
url = "srv+https://_erp._tcp.plant.example"
api_key = "the-api-key"
api_secret = "the-api-secret"
ca = "CA"
HOST

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.todo]
doctype = "ToDo"
document = { description = "{{ text }}" }
"""


class Told(Resource):
    """Tells the name by which it was asked."""

    isLeaf = True  # noqa: N815
    requests = 0

    def render(self, request: Request) -> bytes:
        Told.requests += 1
        return request.getHeader(b"host") or b""


class ByService(TestCase):
    """A site behind an SRV record that names the host ``erp1.plant.example``."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def ask(self, certificate_for: str, host: str = "") -> Reply | Unreachable:
        """Serve with a certificate, and ask by the service."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the sockets are real)

        loop = cast(Any, reactor)
        authority = Authority(self.directory)
        identity = authority.sign(certificate_for)
        options: ssl.CertificateOptions = read_identity(identity.certificate, identity.key)
        Told.requests = 0
        port = loop.listenSSL(0, Site(Told()), options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        records = [
            {"name": "erp1", "type": "A", "value": "127.0.0.1"},
            {"name": "_erp._tcp", "type": "SRV", "value": f"0 0 {port.getHost().port} erp1"},
        ]
        view = dns_view(loop, settings(records, listen="tcp:0:interface=127.0.0.1"), lambda _: None, lambda _: None)
        await view.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(view.stop()))
        text = CONFIGURATION.replace("DNS", view.address.partition(":")[2]).replace("CA", authority.path.name)
        client = frappe_client(loop, load(self.written(text.replace("HOST", host)), {}).sites["erp"])
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return await client.ask("GET", "/")

    def written(self, text: str) -> Path:
        path = self.directory / "lineside.toml"
        path.write_text(text)
        return path

    async def test_the_services_domain(self) -> None:
        """Without a host of its own the site is the domain's, in its certificate as in what it is asked."""
        reply = await self.ask("plant.example")
        assert isinstance(reply, Reply)
        self.assertEqual((reply.status, reply.body), (200, b"plant.example"))

    async def test_a_host_of_its_own(self) -> None:
        """The site's name, where it is given."""
        reply = await self.ask("erp.plant.example", 'host = "erp.plant.example"')
        assert isinstance(reply, Reply)
        self.assertEqual((reply.status, reply.body), (200, b"erp.plant.example"))

    async def test_the_name_in_the_answer_does_not_count(self) -> None:
        """Who can forge an answer has a good certificate for a name of their own: no request goes there."""
        unreachable = await self.ask("erp1.plant.example")
        assert isinstance(unreachable, Unreachable)
        self.assertEqual((unreachable.sent, Told.requests), (False, 0))
        self.assertIn("the certificate of plant.example is for erp1.plant.example", unreachable.reason)
