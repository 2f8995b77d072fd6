"""Where people see a document."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.documentlinks import document_links

CONFIGURATION = """
[journal]
control = "/tmp/documentlinks.sock"
[targets.erp]
type = "frappe"
url = "https://erp.example.com"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
[routes.checkin]
id = "old-name"
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
[routes.ring]
action = "call"
method = "frappe.ping"
document = { answer = "pong" }
"""


class DocumentLinks(SynchronousTestCase):
    """Links into Frappe's desk."""

    def test_a_document_has_its_page_in_the_desk(self) -> None:
        """The DocType as the desk writes it, any name escaped, by the route's permanent id; a call made nothing."""
        path = Path(self.mktemp())
        path.write_text(CONFIGURATION)
        link = document_links(load(path, {"KEY": "k", "SECRET": "s"}))
        self.assertEqual(
            link("old-name", "EMP/CKIN 1"), "https://erp.example.com/app/employee-checkin/EMP%2FCKIN%201"
        )
        self.assertIsNone(link("ring", "pong"))
        self.assertIsNone(link("forgotten", "X"))
