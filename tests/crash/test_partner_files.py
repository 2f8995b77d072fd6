"""Partners' files, and a gateway that is killed while it reads and delivers them: each row becomes one document."""

from __future__ import annotations

import csv
import io
import json
import shutil
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

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[sources.counts]
type = "folder"
path = "counts"
every = "100ms"
partial_after = "0"
format = {{ type = "csv", delimiter = ";", encoding = "cp1252", types = {{ qty = "int" }} }}
trailer = 'END;(?P<count>\\d+)'

[sources.orders]
type = "folder"
path = "orders"
every = "100ms"
format = "edifact"

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
ORDER = (Path(__file__).parents[1] / "unit/wire/edifact/samples/order.edi").read_text(encoding="utf-8")
LOOK_AGAIN = 0.02


class Killed(TestCase):
    """One site, one gateway, several deaths."""

    timeout = 120

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
        (self.directory / "lineside.toml").write_text(CONFIGURATION.format(url=self.erp.url))
        for doctype in ("Copy", "Sales Order"):
            await self.insert(
                "Custom Field", dt=doctype, label="Lineside ID", fieldname="lineside_id", fieldtype="Data", unique=1
            )

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

    def give(self, folder: str, name: str, content: bytes) -> None:
        """Put a whole file into a folder, as a partner's program does: by renaming it."""
        (self.directory / folder).mkdir(exist_ok=True)
        draft = self.directory / folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self.directory / folder / name)

    def answer(self, folder: str, name: str) -> list[dict[str, str]] | None:
        """Return the rows of an answer; None where none is there, or not the last one."""
        path = self.directory / folder / "outbox" / f"{name}.result.csv"
        if not path.exists():
            return None
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        return None if any(row["status"] == "pending" for row in rows) else rows

    async def until(self, gateway: Forked, *answers: tuple[str, str]) -> list[list[dict[str, str]]]:
        """Wait until these files are answered as a whole."""
        while True:
            found = [rows for rows in (self.answer(*each) for each in answers) if rows is not None]
            if len(found) == len(answers):
                return found
            self.assertIsNone(gateway.code, self.directory)
            await deferLater(self.reactor, LOOK_AGAIN)

    async def test_each_row_becomes_one_document_whatever_dies(self) -> None:
        """A file of 1,000 rows, five of them bad, and an order; killed in the middle, and given a second time."""
        rows = [BAD.get(row, f"Stück {row};{row}") for row in range(1, ROWS + 1)]
        counts = "\r\n".join(["code;qty", *rows, f"END;{ROWS}", ""]).encode("cp1252")
        await self.insert("Company", company_name="Wind Power", abbr="WP", default_currency="EUR")
        await self.insert("Customer", customer_name="Bäckerei Groß GmbH")
        for code in ("MEHL-405", "HEFE-42"):
            await self.insert("Item", item_code=code, item_group="Products", stock_uom="Nos")
        self.give("counts", "counts.csv", counts)
        self.give("orders", "order.edi", ORDER.encode("latin-1"))
        random = Random(5)
        deaths = 0
        while (there := len(await self.listed("Copy"))) < ROWS - len(BAD):
            more = there + random.randrange(100, 400)
            gateway = self.run_gateway()
            while len(await self.listed("Copy")) < min(more, ROWS - len(BAD)):
                self.assertIsNone(gateway.code, self.directory)
                await deferLater(self.reactor, LOOK_AGAIN)
            gateway.signal("KILL")
            await gateway.ended()
            deaths += 1
        self.assertGreater(deaths, 2)
        gateway = self.run_gateway()
        first, ordered = await self.until(gateway, ("counts", "counts.csv"), ("orders", "order.edi"))
        await self.judge(first, ordered)

        self.give("counts", "again.csv", counts)
        self.give("orders", "again.edi", ORDER.encode("latin-1"))
        again, order_again = await self.until(gateway, ("counts", "again.csv"), ("orders", "again.edi"))
        self.assertEqual(first, again)
        self.assertEqual(ordered, order_again)

        self.give("counts", "cut.csv", counts[: len(counts) // 2])
        (refused,) = await self.until(gateway, ("counts", "cut.csv"))
        self.assertEqual(["refused"], [row["status"] for row in refused])
        self.assertTrue(refused[0]["error"].startswith("trailer: "), refused)
        await self.judge(again, order_again)
        gateway.signal("TERM")
        self.assertEqual(await gateway.ended(), 0)
        archived = {path.name for path in (self.directory / "counts" / "archive").iterdir()}
        self.assertEqual({"counts.csv", "cut.csv"}, archived)
        self.assertEqual(counts, (self.directory / "counts" / "archive" / "counts.csv").read_bytes())
        shutil.rmtree(self.directory / "counts")

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
        receipt = (self.directory / "orders" / "outbox" / "order.edi.contrl.edi").read_bytes()
        self.assertIn(b"UCI+ACME4711+4012345000009:14+4098765000004:14+7'", receipt)
