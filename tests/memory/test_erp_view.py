"""The ERP as devices and pages see it through the gateway: what is shown, and to whom."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.rig.erp_view_case import EVENTS, ORDERS, VIEWER, ViewCase
from tests.rig.http_asking import Holders
from twisted.internet.defer import Deferred

from lineside.edges.frappe.outcomes import Answered
from lineside.edges.http.openapi import describe
from lineside.model.errors import NotFound
from lineside.operations.erp import WrongQuestion
from lineside.security.identity import Identity, NotPermitted


class Seen(ViewCase):
    """What is shown."""

    def test_one_document(self) -> None:
        """Its name and the fields that the configuration names; nothing else ever leaves the ERP."""
        answer = self.get(f"{ORDERS}/SO-1")
        self.assertEqual((answer.status, answer.json), (200, {"name": "SO-1", "state": "New", "amount": 1}))
        [asked] = self.line.asked
        self.assertEqual(asked["fields"], ["name", "state", "amount"])

    def test_a_list(self) -> None:
        """In order, and it says whether there are more."""
        answer = self.get(ORDERS)
        rows = [{"name": "SO-1", "state": "New", "amount": 1}, {"name": "SO-2", "state": "New", "amount": 2}]
        self.assertEqual(answer.json, {"doctype": "Lab Order", "rows": rows, "more": False})
        first = self.get(f"{ORDERS}?limit=1").json
        self.assertEqual((first["rows"], first["more"]), (rows[:1], True))
        second = self.get(f"{ORDERS}?limit=1&start=1").json
        self.assertEqual((second["rows"], second["more"]), (rows[1:], False))

    def test_what_the_operator_leaves_out_does_not_exist(self) -> None:
        """Neither in a list nor by its name, nor for a caller who filters for it."""
        self.assertEqual(self.get(f"{ORDERS}/SO-3").status, 404)
        self.assertEqual(self.get(f"{ORDERS}?state=Shipped").json["rows"], [])

    def test_a_caller_filters_by_the_fields_that_are_allowed(self) -> None:
        """Any other is refused, and the ERP is not asked."""
        self.store(order_id="SO-4", state="Paid", amount=4)
        self.assertEqual([row["name"] for row in self.get(f"{ORDERS}?state=Paid").json["rows"]], ["SO-4"])
        asked = len(self.line.asked)
        self.assertEqual(self.get(f"{ORDERS}?external_ref=R-1").status, 400)
        self.assertEqual(self.get(f"{ORDERS}?fields=external_ref").status, 400)
        self.assertEqual(len(self.line.asked), asked)

    def test_what_is_no_number_or_too_long_is_refused(self) -> None:
        """With a word on what is right."""
        for query in (
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=1e3",
            "start=100001",
            "start=x",
            "start=%E0%A5%A7",
        ):
            self.assertEqual(self.get(f"{ORDERS}?{query}").status, 400, query)
        self.assertEqual(self.get(f"{ORDERS}?state={'x' * 141}").status, 400)
        self.assertEqual(self.get(f"{ORDERS}/{'x' * 141}").status, 400)
        self.assertEqual(self.line.asked, [])

    def test_another_doctype_is_not_there(self) -> None:
        """Whether the ERP has it or not."""
        for doctype in ("User", "Lab%20Order%20Item", "lab%20order", "Nothing"):
            self.assertEqual(self.get(f"/api/v1/erp/{doctype}").status, 404, doctype)
            self.assertEqual(self.get(f"/api/v1/erp/{doctype}/Administrator").status, 404, doctype)
        self.assertEqual(self.line.asked, [])

    def test_what_a_caller_writes_is_never_more_than_a_value(self) -> None:
        """No path, no operator, no filter, no statement: the ERP is asked for a name that it does not have."""
        before = self.get(ORDERS).json
        for name in (
            "../User/Administrator",
            'SO-1?fields=["*"]',
            "SO-1' OR '1'='1",
            "%",
            '["like", "%"]',
            '{"name": ["!=", ""]}',
            "SO-1&filters=[]",
            "SO-1\r\nX-Evil: 1",
            "SO-1\x00",
            "`tabUser`.name",
            "SO-1 ",
        ):
            self.assertEqual(self.get(f"{ORDERS}/{quote(name, safe='')}").status, 404, name)
            asked = self.line.asked[-1]
            self.assertEqual(asked["uri"], b"http://erp.example/api/method/frappe.client.get_list")
            self.assertEqual(asked["filters"], [["state", "!=", "Shipped"], ["name", "=", name]])
            self.assertEqual(self.get(f"{ORDERS}?state={quote(name, safe='')}").json["rows"], [], name)
            self.assertEqual(self.line.asked[-1]["filters"], [["state", "!=", "Shipped"], ["state", "=", name]])
        self.clock.advance(31)
        self.assertEqual(self.get(ORDERS).json, before)

    def test_fields_that_come_unasked_are_held_back(self) -> None:
        """As a server script might add them; a field that is missing is null."""

        async def generous(body: bytes) -> Any:
            return Answered([{"name": "SO-1", "state": "New", "external_ref": "R-1", "api_secret": "s"}])

        self.patch(self.erp_site, "ask", generous)
        self.assertEqual(self.get(f"{ORDERS}/SO-1").json, {"name": "SO-1", "state": "New", "amount": None})
        self.assertEqual(self.get(ORDERS).json["rows"], [{"name": "SO-1", "state": "New", "amount": None}])

    def test_another_document_than_the_one_asked_for_is_not_shown(self) -> None:
        """Something between may have lost the filter."""

        async def careless(body: bytes) -> Any:
            return Answered([{"name": "SO-9", "state": "New", "amount": 9}])

        self.patch(self.erp_site, "ask", careless)
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 404)
        self.assertEqual(self.get(f"{ORDERS}/so-9").json["name"], "SO-9")

    def test_the_description_has_each_doctype(self) -> None:
        """With its parameters, and paths that are addresses."""
        described = describe(self.endpoints)["paths"]
        self.assertEqual(
            set(described),
            {f"{path}{name}" for path in (ORDERS, EVENTS) for name in ("", "/{name}")},
        )
        parameters = described[ORDERS]["get"]["parameters"]
        self.assertEqual([each["name"] for each in parameters], ["state", "start", "limit"])


class Allowed(ViewCase):
    """Who may look."""

    def setUp(self) -> None:
        super().setUp()
        self.tokens = Holders(board=VIEWER, gate=Identity("gate", "device", frozenset({"gate"})))
        self.serve()

    def status(self, path: str, token: str) -> int:
        return self.get(path, f"Authorization: Bearer {token}").status

    def test_a_device_sees_what_is_opened_to_devices(self) -> None:
        """And nothing else; people who may look see both."""
        self.assertEqual(self.status(EVENTS, "gate"), 200)
        self.assertEqual(self.status(ORDERS, "gate"), 403)
        self.assertEqual(self.status(f"{ORDERS}/SO-1", "gate"), 403)
        self.assertEqual((self.status(EVENTS, "board"), self.status(ORDERS, "board")), (200, 200))

    def test_nobody_known_sees_nothing(self) -> None:
        """Not even what is kept already."""
        self.assertEqual(self.status(ORDERS, "board"), 200)
        self.assertEqual((self.get(ORDERS).status, self.status(ORDERS, "wrong")), (401, 401))

    def test_the_same_holds_without_http(self) -> None:
        """For whatever else asks the view."""
        device = Identity("gate", "device")
        ask = self.erp.list(device, "Lab Order")
        self.failureResultOf(Deferred.fromCoroutine(ask), NotPermitted)
        self.failureResultOf(Deferred.fromCoroutine(self.erp.get(VIEWER, "User", "A")), NotFound)
        look = self.successResultOf(Deferred.fromCoroutine(self.erp.get(VIEWER, "Lab Order", "SO-1")))
        self.assertEqual((json.loads(look.body)["amount"], look.stale, look.asked), (1, False, True))
        ask = self.erp.list(VIEWER, "Lab Order", {"external_ref": "R-1"})
        self.failureResultOf(Deferred.fromCoroutine(ask), WrongQuestion)
        for name in ("x" * 141, "\ud800"):
            self.failureResultOf(Deferred.fromCoroutine(self.erp.get(VIEWER, "Lab Order", name)), WrongQuestion)
