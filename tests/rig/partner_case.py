"""A site of the ERP, a gateway in a process of its own, and what a partner's two files must become there."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import treq
from tests.rig.forked import Forked, Nursery
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from lineside.standin.authentication import Credentials
from lineside.standin.doctypes import read_library
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

TARGET_AND_ROUTES = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[routes.count]
sources = ["counts"]
doctype = "Copy"
document = {{ title = "{{{{ code }}}} {{{{ file.row }}}}" }}

[routes.order]
sources = ["orders"]
doctype = "Sales Order"
[routes.order.document]
company = "Wind Power"
customer = "{{{{ parties.BY.name }}}}"
po_no = "{{{{ number }}}}"
delivery_date = "{{{{ delivery_date }}}}"
items = "{{{{ lines | rows(item_code='codes.SA', qty='quantity', rate='price') }}}}"
"""
ENVIRON = {"KEY": "key", "SECRET": "secret"}
COPY = {
    "doctype": "DocType",
    "name": "Copy",
    "autoname": "hash",
    "fields": [{"fieldname": "title", "fieldtype": "Data", "label": "Title"}],
}
"""A DocType whose names are no keys: one document too many would be there."""
ROWS = 1_000
BAD = {7: "7;x", 250: "250;2;3", 251: '"251;1', 500: "500", 999: "999;1,5"}
"""Two with a quantity that is none, one with too many columns, one that opens a quotation mark, one cut short."""
_SAMPLE = Path(__file__).parents[1] / "unit/wire/edifact/samples/order.edi"
ORDER = _SAMPLE.read_text(encoding="utf-8").encode("latin-1")
RECEIPT = b"UCI+ACME4711+4012345000009:14+4098765000004:14+7'"
"""In the CONTRL for it: acknowledged as a whole."""
GOOD = ROWS - len(BAD)
COUNTS = "\r\n".join(
    ["code;qty", *(BAD.get(row, f"Stück {row};{row}") for row in range(1, ROWS + 1)), f"END;{ROWS}", ""]
).encode("cp1252")
LOOK_AGAIN = 0.02


def parsed(answer: bytes) -> list[dict[str, str]] | None:
    """Return the rows of an answer; None where it is not the last one."""
    rows = list(csv.DictReader(io.StringIO(answer.decode(), newline="")))
    return None if any(row["status"] == "pending" for row in rows) else rows


class PartnerCase(TestCase):
    """One site, one gateway, several deaths."""

    timeout = 120
    sources = ""
    """The tables ``[sources.counts]`` and ``[sources.orders]``, and by what files come there."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    async def setUp(self) -> None:  # type: ignore[override] # (trial waits for it)
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        (self.directory / "copy.json").write_text(json.dumps([COPY]))
        library = read_library(self.directory / "copy.json")
        service = Service(self.directory / "erp.db", Credentials("key", "secret"), library=library)
        self.erp = StandinServer(self.reactor, service, FaultKnobs(Random(1)))
        await self.erp.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.erp.stop()))
        (self.directory / "lineside.toml").write_text(TARGET_AND_ROUTES.format(url=self.erp.url) + self.sources)
        for doctype in ("Copy", "Sales Order"):
            await self.insert(
                "Custom Field", dt=doctype, label="Lineside ID", fieldname="lineside_id", fieldtype="Data", unique=1
            )
        await self.insert("Company", company_name="Wind Power", abbr="WP", default_currency="EUR")
        await self.insert("Customer", customer_name="Bäckerei Groß GmbH")
        for code in ("MEHL-405", "HEFE-42"):
            await self.insert("Item", item_code=code, item_group="Products", stock_uom="Nos")

    async def ask(self, method: str, path: str, document: object = None) -> Any:
        headers = Headers({"Authorization": ["token key:secret"], "Content-Type": ["application/json"]})
        body = None if document is None else json.dumps(document).encode()
        answer = await treq.request(
            method, self.erp.url + path, headers=headers, data=body, agent=Agent(self.reactor), persistent=False
        )
        return json.loads(await answer.content())["data"]

    async def insert(self, doctype: str, **fields: object) -> Any:
        return await self.ask("POST", f"/api/resource/{quote(doctype)}", fields)

    async def listed(self, doctype: str, *fields: str) -> list[dict[str, Any]]:
        wanted = quote(json.dumps(["name", *fields]))
        path = f"/api/resource/{quote(doctype)}?fields={wanted}&limit_page_length=0"
        found: list[dict[str, Any]] = await self.ask("GET", path)
        return found

    def run_gateway(self) -> Forked:
        return self.nursery.start(
            self.reactor,
            ["run", "-c", str(self.directory / "lineside.toml")],
            log=self.directory / "gateway.log",
            environ=ENVIRON,
        )

    async def delivered(self, gateway: Forked, copies: int) -> None:
        """Wait until a gateway has delivered so many rows."""
        while len(await self.listed("Copy")) < copies:
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)

    async def killed(self, gateway: Forked) -> None:
        """Kill it."""
        gateway.signal("KILL")
        self.assertEqual(await gateway.ended(), -9)

    async def judge(self, counts: list[dict[str, str]], orders: list[dict[str, str]]) -> None:
        """Hold the answers against what the ERP has."""
        documents = {row["name"]: row["title"] for row in await self.listed("Copy", "title")}
        self.assertEqual([str(row) for row in range(1, ROWS + 1)], [row["row"] for row in counts])
        for row in counts:
            number = int(row["row"])
            if number in BAD:
                self.assertEqual(("dead-letter", ""), (row["status"], row["document"]), row)
                self.assertNotEqual("", row["error"])
            else:
                self.assertEqual("delivered", row["status"], row)
                self.assertEqual(f"Stück {number} {number}", documents.pop(row["document"]))
        self.assertEqual({}, documents)
        (order,) = await self.listed("Sales Order", "po_no", "grand_total")
        self.assertEqual(("PO-2026-0815", 236.7), (order["po_no"], order["grand_total"]))
        self.assertEqual([order["name"]], [row["document"] for row in orders])
