"""What the Frappe target promises, held against a whole site: the stand-in, and any real one that is named.

``LINESIDE_FRAPPE_URL``, ``LINESIDE_FRAPPE_KEY`` and ``LINESIDE_FRAPPE_SECRET`` name it; its user is a System
Manager who may write ToDo. The site is left as it was, but for its own list of deleted documents. What concerns
submission needs a DocType *Lab Order*, as in ``tests/data/lab-doctypes.json``, and is skipped on a site without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SkipTest, TestCase

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.doctypes import DocType
from lineside.edges.frappe.meta import read_meta
from lineside.edges.frappe.outcomes import Answered, classify
from lineside.edges.frappe.prepare import prepare
from lineside.edges.frappe.reply import to_json
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused
from lineside.model.ports import Delivery, Ready

FIELD = "lineside_id"
LAB = Path(__file__).parents[1] / "data" / "lab-doctypes.json"


class Promises(TestCase):
    """The suite. A subclass says which site it is held against."""

    __test__ = False
    timeout = 120
    url: ClassVar[str]
    key: ClassVar[str]
    secret: ClassVar[str]

    async def setUp(self) -> None:  # type: ignore[override] # trial waits for it
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the site is real)

        self.reactor = reactor
        self.mark = uuid4().hex
        self.client = self.connect(self.secret)
        self.target = FrappeTarget(self.client)
        self.addCleanup(self.clean, self.site_is_as_before)
        self.prepared: list[str] = []
        self.custom_fields = await self.rows("Custom Field", [["fieldname", "=", FIELD]], ["name"])
        await self.be_prepared("ToDo")

    def connect(self, secret: str) -> FrappeClient:
        client = FrappeClient(self.reactor, self.url, self.key, secret)
        self.addCleanup(self.clean, client.close)
        return client

    def clean(self, work: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(work())

    async def be_prepared(self, doctype: str) -> None:
        """Have the id field in a DocType until the test ends."""
        [prepared] = await prepare(self.client, [doctype], FIELD)
        self.prepared.append(doctype)

        async def undo() -> None:
            for row in await self.rows(doctype, self.mine(doctype), ["name", "docstatus"]):
                path = url_path("api", "resource", doctype, row["name"])
                if row["docstatus"] == 1:
                    await self.ask("PUT", path, {"docstatus": 2})
                await self.ask("DELETE", path)
            if prepared.created:
                await self.ask("DELETE", url_path("api", "resource", "Custom Field", f"{doctype}-{FIELD}"))

        self.addCleanup(self.clean, undo)

    async def site_is_as_before(self) -> None:
        for doctype in self.prepared:
            self.assertEqual(await self.rows(doctype, self.mine(doctype), ["name"]), [])
        left = await self.rows("Custom Field", [["fieldname", "=", FIELD]], ["name"])
        self.assertEqual(left, self.custom_fields)

    async def ask(self, verb: str, path: str, body: object = None) -> Any:
        verdict = classify(await self.client.ask(verb, path, body=None if body is None else to_json(body)))
        assert isinstance(verdict, Answered), verdict
        return verdict.value

    async def rows(self, doctype: str, filters: Sequence[object], fields: list[str]) -> list[dict[str, Any]]:
        path = url_path(
            "api",
            "resource",
            doctype,
            filters=to_json(filters).decode(),
            fields=to_json(fields).decode(),
            limit_page_length="0",
        )
        found: list[dict[str, Any]] = await self.ask("GET", path)
        return found

    def mine(self, doctype: str) -> list[list[str]]:
        """Return a filter for what this test made."""
        return [["sender" if doctype == "ToDo" else "external_ref", "like", f"{self.mark}%"]]

    def todo(self, number: int, **facts: Any) -> Delivery:
        """Return one of this test's deliveries."""
        document = {"description": f"number {number}", "sender": f"{self.mark}.{number}@example.com"}
        delivery = Delivery(delivery_id(f"{self.mark}-{number}", "live"), "insert", "ToDo", document)
        return msgspec.structs.replace(delivery, **facts)

    async def deliver(self, *batch: Delivery) -> list[Any]:
        return list(await self.target.deliver(list(batch)))

    async def ids(self) -> Counter[str]:
        return Counter(row[FIELD] for row in await self.rows("ToDo", self.mine("ToDo"), [FIELD]))

    async def test_the_site_lets_us_in_and_tells_its_zone(self) -> None:
        """A key that nobody has is turned away."""
        self.assertIsInstance(await self.target.probe(), Ready)
        self.assertIsInstance(await FrappeTarget(self.connect("wrong")).probe(), Blocked)

    async def test_a_delivery_becomes_one_document(self) -> None:
        """Delivered, looked up, sent again blindly, and sent four times at once: one document."""
        [first] = await self.deliver(self.todo(1))
        self.assertEqual(first, Delivered(first.name))
        again = Delivered(first.name, found=True)
        self.assertEqual(await self.deliver(self.todo(1, redelivered=True)), [again])
        self.assertEqual(await self.deliver(self.todo(1)), [again])
        storm: list[Deferred[list[Outcome]]] = [
            Deferred.fromCoroutine(self.target.deliver([self.todo(2)])) for _ in range(4)
        ]
        names = {outcome.name for [outcome] in await gatherResults(storm) if isinstance(outcome, Delivered)}
        self.assertEqual(len(names), 1)
        self.assertEqual(await self.ids(), {self.todo(1).id: 1, self.todo(2).id: 1})

    async def test_a_batch_is_stored_but_for_the_one_that_is_refused(self) -> None:
        """The bad one has Frappe's words; a second delivery of all of them makes nothing new."""
        batch = [self.todo(number) for number in range(25)]
        batch[13] = self.todo(13, document={**batch[13].document, "allocated_to": "nobody@nowhere.example"})
        outcomes = await self.deliver(*batch)
        self.assertEqual(outcomes[13].code, "LinkValidationError")
        good = {delivery.id: 1 for number, delivery in enumerate(batch) if number != 13}
        self.assertEqual(await self.ids(), good)
        for redelivered in (True, False):
            again = await self.deliver(*(msgspec.structs.replace(each, redelivered=redelivered) for each in batch))
            expected = [Delivered(one.name, found=True) for one in outcomes if isinstance(one, Delivered)]
            self.assertEqual([one for one in again if isinstance(one, Delivered)], expected)
        self.assertEqual(await self.ids(), good)

    async def test_what_frappe_would_bend_is_not_sent(self) -> None:
        """Each wrong field is named, and no document is there afterwards."""
        wrong = {**self.todo(1).document, "date": "soon", "priority": "Whatever", "colour": "#fff"}
        [refused] = await self.deliver(self.todo(1, document=wrong))
        self.assertEqual(refused.code, "preflight")
        for field in ("date", "priority", "colour"):
            self.assertIn(f"{field}: ", refused.reason)
        self.assertEqual(await self.ids(), Counter())

    async def test_the_one_document_that_matches_is_changed(self) -> None:
        """By name and by a field; none and several are refused, and nothing else is touched."""
        [one, two] = await self.deliver(self.todo(1), self.todo(2))
        closed = {"status": "Closed"}
        for match in ({"name": one.name}, {"sender": f"{self.mark}.2@example.com"}):
            [outcome] = await self.deliver(self.todo(3, action="update", match=match, document=closed))
            self.assertIsInstance(outcome, Delivered)
        changed = await self.rows("ToDo", self.mine("ToDo"), ["name", "status", "description"])
        self.assertEqual({row["status"] for row in changed}, {"Closed"})
        self.assertEqual({row["name"] for row in changed}, {one.name, two.name})
        for number, match, code in (
            (4, {"name": f"no-{self.mark}"}, "NoMatch"),
            (5, {"sender": f"{self.mark}.9@example.com"}, "NoMatch"),
            (6, {"status": "Closed", "sender": f"{self.mark}.1@example.com"}, None),
        ):
            [outcome] = await self.deliver(self.todo(number, action="update", match=match, document=closed))
            self.assertEqual(outcome.code if isinstance(outcome, Refused) else None, code)
        same = {**self.todo(1).document}
        await self.deliver(self.todo(7, document=same))
        match = {"sender": same["sender"]}
        [several] = await self.deliver(self.todo(8, action="update", match=match, document=closed))
        self.assertEqual(several.code, "SeveralMatches")

    async def test_an_upsert_inserts_once_and_changes_then(self) -> None:
        """The fields to match by are in the new document, so that the next event finds it."""
        match = {"sender": f"{self.mark}.1@example.com"}
        for number, priority in ((1, "Low"), (2, "High")):
            document = {"description": "stock", "priority": priority}
            [outcome] = await self.deliver(self.todo(number, action="upsert", match=match, document=document))
            self.assertIsInstance(outcome, Delivered)
        rows = await self.rows("ToDo", self.mine("ToDo"), ["priority", FIELD])
        self.assertEqual(rows, [{"priority": "High", FIELD: self.todo(1).id}])

    async def test_a_method_is_called(self) -> None:
        """One that is there answers; one that is not is the route's fault."""
        call = self.todo(1, action="call", doctype="", document={"doctype": "ToDo"})
        for method, kind in (("frappe.client.get_count", Delivered), ("frappe.no.such.method", Blocked)):
            [outcome] = await self.deliver(msgspec.structs.replace(call, method=method))
            self.assertIsInstance(outcome, kind)

    async def test_a_doctype_that_is_not_there_waits_for_a_person(self) -> None:
        """So does submission where a DocType knows none."""
        [outcome] = await self.deliver(self.todo(1, doctype="No Such Thing"))
        self.assertIsInstance(outcome, Blocked)
        [outcome] = await self.deliver(self.todo(1, submit=True))
        self.assertIsInstance(outcome, Blocked)

    async def orders(self) -> list[dict[str, Any]]:
        return await self.rows("Lab Order", self.mine("Lab Order"), ["name", "docstatus", FIELD])

    def order(self, number: int, **facts: Any) -> Delivery:
        document = {
            "order_id": f"{self.mark}-{number}",
            "external_ref": f"{self.mark}-{number}",
            "items": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": 1}],
        }
        delivery = Delivery(delivery_id(f"{self.mark}-order-{number}", "live"), "insert", "Lab Order", document)
        return msgspec.structs.replace(delivery, **facts)

    async def with_orders(self) -> None:
        told = await read_meta(self.client, "Lab Order")
        if not isinstance(told, DocType) or not told.submittable:
            raise SkipTest("the site has no DocType Lab Order that can be submitted")
        await self.be_prepared("Lab Order")

    async def test_a_document_with_rows_is_inserted_and_submitted(self) -> None:
        """In one request; a repeat finds it, and a cancelled one counts as delivered."""
        await self.with_orders()
        [first] = await self.deliver(self.order(1, submit=True))
        self.assertIsInstance(first, Delivered)
        self.assertEqual([row["docstatus"] for row in await self.orders()], [1])
        document = await self.ask("GET", url_path("api", "resource", "Lab Order", first.name))
        self.assertEqual([(row["sku"], row["qty"]) for row in document["items"]], [("A", 2), ("B", 1)])
        await self.ask("PUT", url_path("api", "resource", "Lab Order", first.name), {"docstatus": 2})
        again = await self.deliver(self.order(1, submit=True, redelivered=True))
        self.assertEqual(again, [Delivered(first.name, found=True)])
        self.assertEqual([row["docstatus"] for row in await self.orders()], [2])

    async def test_a_draft_of_an_earlier_attempt_is_submitted(self) -> None:
        """Found by its id, and submitted under its lock."""
        await self.with_orders()
        [draft] = await self.deliver(self.order(1))
        found = await self.deliver(self.order(1, submit=True, redelivered=True))
        self.assertEqual(found, [Delivered(draft.name, found=True)])
        self.assertEqual(await self.orders(), [{"name": draft.name, "docstatus": 1, FIELD: self.order(1).id}])

    async def test_wrong_rows_are_named(self) -> None:
        """The DocType of the rows is looked at too."""
        await self.with_orders()
        wrong = {**self.order(1).document, "items": [{"sku": "A", "qty": "two"}, {"skuu": "B"}]}
        [refused] = await self.deliver(self.order(1, document=wrong))
        self.assertEqual(refused.code, "preflight")
        self.assertIn("items[0].qty: is no whole number", refused.reason)
        self.assertIn("items[1].skuu: Lab Order Item has no such field", refused.reason)
        self.assertEqual(await self.orders(), [])

    async def test_an_upsert_by_name_makes_the_document_of_that_name(self) -> None:
        """The name goes into the field that the DocType is named by; the next event changes that document."""
        await self.with_orders()
        for number, state in ((1, "New"), (2, "Paid")):
            document = {"state": state, "external_ref": f"{self.mark}-1"}
            match = {"name": f"{self.mark}-1"}
            [outcome] = await self.deliver(self.order(number, action="upsert", match=match, document=document))
            self.assertEqual(outcome, Delivered(f"{self.mark}-1"))
        rows = await self.rows("Lab Order", self.mine("Lab Order"), ["name", "state"])
        self.assertEqual(rows, [{"name": f"{self.mark}-1", "state": "Paid"}])


class AtTheStandin(Promises):
    """The stand-in, as a process of its own."""

    __test__ = True
    key, secret = "key", "secret"
    process: ClassVar[subprocess.Popen[str]]

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        keys = ["--api-key", cls.key, "--api-secret", cls.secret]
        arguments = ["--port", "0", "--data", f"{folder}/erp.db", "--doctypes", str(LAB), *keys]
        cls.process = subprocess.Popen(
            [sys.executable, "-m", "lineside", "standin", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert cls.process.stdout is not None
        cls.url = cls.process.stdout.readline().split()[-1]

    @classmethod
    def tearDownClass(cls) -> None:
        cls.process.terminate()
        cls.process.communicate(timeout=30)
        assert cls.process.returncode == 0


class AtAnySite(Promises):
    """The site that the environment names."""

    __test__ = True

    @classmethod
    def setUpClass(cls) -> None:
        names = [f"LINESIDE_FRAPPE_{name}" for name in ("URL", "KEY", "SECRET")]
        missing = [name for name in names if not os.environ.get(name)]
        if missing:
            raise SkipTest(f"no site is named: {', '.join(missing)} not set")
        cls.url, cls.key, cls.secret = (os.environ[name] for name in names)
