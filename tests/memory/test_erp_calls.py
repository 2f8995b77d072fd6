"""Methods of the ERP that callers may have carried out: which, by whom, and what they are told otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace
from tests.rig.erp_view_case import ViewCase
from twisted.internet.defer import Deferred

from lineside.edges.frappe.allowedcalls import LARGEST, AllowedCall, AllowedCalls
from lineside.edges.frappe.view import ASKING, WAITING
from lineside.model.errors import NotFound
from lineside.operations.erp import ErpAway, ErpRefused, ErpUnsure, ErpUnwilling, WrongQuestion
from lineside.operations.erpcalls import ErpCallOperations
from lineside.operations.registry import Operations
from lineside.operations.requests import CallErp
from lineside.security.identity import Identity, NotPermitted

OLGA = Identity("olga", "operator")
BOARD = Identity("board", "viewer")


class CallCase(ViewCase):
    """A gateway that allows a few calls of the stand-in."""

    def serve(self, *given: Any, **changes: Any) -> None:
        super().serve(*given)
        order = AllowedCall(
            "order",
            self.erp_site,
            "frappe.client.insert",
            ("doc",),
            {"flags": "none"},
            timeout=5.0,
            max_answer=2_000,
        )
        count = AllowedCall(
            "count", self.erp_site, "frappe.client.get_count", ("filters",), {"doctype": "Lab Order"}, "read"
        )
        gone = AllowedCall("gone", self.erp_site, "plant.api.no_such")
        calls = AllowedCalls([replace(order, **changes), count, gone], self.clock)
        self.operations = Operations()
        ErpCallOperations(calls).register(self.operations)

    def call(self, name: str, params: Mapping[str, Any] = {}, identity: Identity = OLGA) -> Deferred[Any]:
        asked = self.operations.call(CallErp(name=name, params=dict(params)), identity)
        calling = Deferred.fromCoroutine(asked)
        self.agent.flush()
        return calling

    def order(self, name: str = "SO-9") -> Deferred[Any]:
        return self.call("order", {"doc": {"doctype": "Lab Order", "order_id": name, "state": "New"}})

    def refusal(self, calling: Deferred[Any], kind: type[Exception]) -> str:
        return str(self.failureResultOf(calling, kind).value)

    def held(self, name: str) -> bool:
        """Tell whether the ERP has an order."""
        told = self.successResultOf(self.call("count", {"filters": {"name": name}}))
        return bool(told.answer)


class Allowed(CallCase):
    """What may be called."""

    def test_a_call_is_carried_out_and_its_answer_handed_on(self) -> None:
        """With the caller's parameters and the operator's own."""
        told = self.successResultOf(self.order())
        self.assertEqual((told.name, told.answer["name"]), ("order", "SO-9"))
        [asked] = self.line.asked
        self.assertEqual(asked["uri"], b"http://erp.example/api/method/frappe.client.insert")
        self.assertEqual((asked["flags"], asked["doc"]["state"]), ("none", "New"))
        self.assertTrue(self.held("SO-9"))
        told = [event for event in self.alarms if event["log_format"] == "erp.called"]
        self.assertEqual([(event["by"], event["outcome"]) for event in told], [("olga", "answered")] * 2)

    def test_nothing_else_can_be_called(self) -> None:
        """No other name, no other parameter, and none that the operator set; the ERP is not asked."""
        self.assertIn('did you mean "order"?', self.refusal(self.call("orders"), NotFound))
        for name in ("frappe.client.insert", "", "../order"):
            self.failureResultOf(self.call(name), NotFound)
        self.assertEqual(
            self.refusal(self.call("count", {"doctype": "User"}), WrongQuestion),
            'count has no parameter "doctype"; there are: filters',
        )
        self.failureResultOf(self.call("order", {"cmd": "frappe.client.delete"}), WrongQuestion)
        self.failureResultOf(self.call("order", {"flags": "all"}), WrongQuestion)
        self.assertIn("at most", self.refusal(self.call("order", {"doc": "x" * LARGEST}), WrongQuestion))
        self.assertEqual(self.line.asked, [])

    def test_each_call_has_its_own_permission(self) -> None:
        """A viewer may count and not order; a device neither."""
        self.successResultOf(self.call("count", identity=BOARD))
        self.failureResultOf(self.call("order", {"doc": {}}, BOARD), NotPermitted)
        self.failureResultOf(self.call("count", identity=Identity("scale", "device")), NotPermitted)
        self.failureResultOf(self.call("order", {"doc": {}}, Identity("x", "nobody")), NotPermitted)
        self.assertEqual(len(self.line.asked), 1)

    def test_without_configuration_there_is_none(self) -> None:
        """The operation says so."""
        self.operations = Operations()
        ErpCallOperations(None).register(self.operations)
        self.assertIn("[calls.NAME]", self.refusal(self.call("order"), NotFound))


class Refused(CallCase):
    """What the ERP does not do."""

    def test_the_erps_own_words_reach_the_caller(self) -> None:
        """Without a traceback, markup or a key."""
        self.successResultOf(self.order())
        told = self.refusal(self.order(), ErpRefused)
        self.assertIn("the ERP says no: ", told)
        for secret in ("Traceback", "File ", "<", "secret", "key:"):
            self.assertNotIn(secret, told)

    def test_a_method_that_is_not_there_is_the_operators_business(self) -> None:
        """The caller is told so, and the log names the key; once a minute."""
        for _ in range(2):
            self.assertIn("whose log says why", self.refusal(self.call("gone"), ErpUnwilling))
        (alarm,) = [event for event in self.alarms if event["log_format"] == "erp.call_blocked"]
        self.assertEqual((alarm["name"], alarm["remedy"]), ("gone", "check calls.gone.method"))

    def test_a_key_that_is_turned_away_is_too(self) -> None:
        """Nothing of it is told to the caller."""
        self.serve("wrong")
        self.assertNotIn("api_key", self.refusal(self.order(), ErpUnwilling))
        self.assertIn("erp.call_blocked", self.told())

    def test_an_answer_that_is_too_large_is_not_handed_on(self) -> None:
        """It is done all the same, and the caller knows."""
        self.serve(max_answer=10)
        self.assertIn("it is done, but the answer has", self.refusal(self.order(), ErpUnwilling))
        self.assertTrue(self.held("SO-9"))


class Unsure(CallCase):
    """What is lost on the way."""

    def test_without_a_connection_nothing_was_done(self) -> None:
        """The caller may call again."""
        self.line.cut = True
        self.assertIn("did nothing", self.refusal(self.order(), ErpAway))

    def test_a_lost_answer_is_told_and_the_call_not_made_again(self) -> None:
        """Whether it is done nobody knows."""
        self.line.silent = True
        calling = self.order()
        self.clock.advance(5.1)
        self.assertIn("may have done it or not", self.refusal(calling, ErpUnsure))
        self.clock.advance(60)
        self.assertEqual((len(self.line.asked), self.line.cancelled), (1, 1))

    def test_what_fails_inside_the_erp_is_not_made_again(self) -> None:
        """Whether it was before or after the commit: a page and a traceback stay in the log."""
        for fault in ("error_before_commit", "error_after_commit", "cut", "wrong_content_type", "bad_gateway"):
            self.line.asked.clear()
            self.faults.turn({fault: 1.0})
            told = self.refusal(self.order(f"SO-{fault}"), ErpUnsure)
            self.faults.turn({fault: 0.0})
            self.assertTrue(told.startswith("the ERP may have done it or not, and is not asked again: "), told)
            for inside in ("Traceback", "<", "File ", "html"):
                self.assertNotIn(inside, told)
            self.assertEqual(len(self.line.asked), 1)
        self.assertTrue(self.held("SO-error_after_commit"))
        self.assertFalse(self.held("SO-error_before_commit"))
        self.assertIn("erp.call_unsure", self.told())

    def test_what_the_database_undid_is_not_done(self) -> None:
        """It made way for another transaction: the caller may call again."""
        self.faults.turn({"deadlock": 1.0})
        self.assertIn("the ERP undid it", self.refusal(self.order(), ErpRefused))
        self.faults.turn({"deadlock": 0.0})
        self.assertFalse(self.held("SO-9"))

    def test_what_waits_behind_other_questions_is_not_sent_late(self) -> None:
        """It gives up in the queue, and is certainly not done."""
        self.line.holding = True
        under_way = [self.call("count") for _ in range(ASKING)]
        waits = self.order()
        self.clock.advance(5.1)
        self.assertIn("it was not called", self.refusal(waits, ErpAway))
        self.line.let_go()
        self.agent.flush()
        for each in under_way:
            self.successResultOf(each)
        self.assertEqual(len(self.line.asked), ASKING)

    def test_calls_and_views_share_their_room(self) -> None:
        """Deliveries keep their connections, however many call."""
        self.line.holding = True
        under_way = [self.call("count") for _ in range(ASKING + WAITING)]
        self.assertIn("it was not called", self.refusal(self.order(), ErpAway))
        self.assertEqual(len(self.line.asked), ASKING)
        self.assertEqual(self.get("/api/v1/erp/Lab%20Order").status, 503)
        for each in under_way:
            each.addErrback(lambda _: None)
            each.cancel()

    def test_a_caller_that_leaves_ends_its_request(self) -> None:
        """The next one finds room."""
        self.line.silent = True
        calling = self.order()
        calling.addErrback(lambda _: None)
        calling.cancel()
        self.assertEqual(self.line.cancelled, 1)
        self.line.silent = False
        self.successResultOf(self.call("count"))
        self.assertNotIn(b"SO-9", json.dumps([str(each) for each in self.line.asked[1:]]).encode())
