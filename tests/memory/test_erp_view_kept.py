"""How often the ERP is asked for what is shown, and what is shown while it is away."""

from __future__ import annotations

import json
from typing import Any

from tests.rig.erp_view_case import EVENTS, ORDERS, ViewCase
from twisted.internet.defer import Deferred

from lineside.delivery.budget import Allowance, Budget
from lineside.edges.frappe import view as views
from lineside.edges.frappe.outcomes import Ambiguous, Answered
from lineside.edges.frappe.view import ErpView
from lineside.edges.frappe.viewendpoints import endpoints
from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.model.outcome import Refused


class KeptForAWhile(ViewCase):
    """How often the ERP is asked."""

    def test_a_hundred_equal_requests_are_one_call(self) -> None:
        """Those that come while it is asked wait for the same answer; those behind it get what is kept."""
        self.line.holding = True
        asking = [self.ask(f"{ORDERS}/SO-1") for _ in range(100)]
        self.assertEqual((len(self.line.asked), any(each.answered for each in asking)), (1, False))
        self.line.let_go()
        answers = [each.answer for each in asking]
        self.assertEqual({(each.status, each.body) for each in answers}, {(200, answers[0].body)})
        self.assertEqual(answers[0].headers["Cache-Status"], "lineside; fwd=miss")
        self.assertEqual(answers[99].headers["Cache-Status"], "lineside; fwd=miss; collapsed")
        self.assertEqual([self.get(f"{ORDERS}/SO-1").status for _ in range(100)], [200] * 100)
        self.assertEqual(len(self.line.asked), 1)

    def test_after_its_ttl_it_is_asked_for_again(self) -> None:
        """Until then what changed meanwhile is not seen, and `Age` tells."""
        self.get(f"{ORDERS}/SO-1")
        self.change("SO-1", amount=7)
        self.clock.advance(29.5)
        answer = self.get(f"{ORDERS}/SO-1")
        self.assertEqual((answer.json["amount"], answer.headers["Age"]), (1, "29"))
        self.assertEqual(answer.headers["Cache-Status"], "lineside; hit; ttl=0")
        self.clock.advance(0.5)
        answer = self.get(f"{ORDERS}/SO-1")
        self.assertEqual((answer.json["amount"], "Age" in answer.headers), (7, False))
        self.assertEqual(len(self.line.asked), 2)

    def test_without_a_ttl_it_is_asked_for_each_time(self) -> None:
        """Though once for all who ask at the same time."""
        self.serve(ttl=0.0)
        self.line.holding = True
        asking = [self.ask(ORDERS) for _ in range(3)]
        self.line.let_go()
        self.assertEqual([each.answer.status for each in asking], [200] * 3)
        self.get(ORDERS)
        self.assertEqual(len(self.line.asked), 2)

    def test_a_page_that_has_it_already_is_told_so(self) -> None:
        """304 for the same tag, with the new age; another answer once it has changed."""
        tag = self.get(ORDERS).headers["ETag"]
        self.clock.advance(10)
        same = self.get(ORDERS, f"If-None-Match: {tag}")
        self.assertEqual((same.status, same.body, same.headers["Age"]), (304, b"", "10"))
        self.change("SO-1", amount=7)
        self.clock.advance(20)
        self.assertEqual(self.get(ORDERS, f"If-None-Match: {tag}").status, 200)

    def test_what_is_not_there_is_remembered_briefly(self) -> None:
        """Scanners ask for the same unknown code again and again; five seconds later it may have been made."""
        for _ in range(50):
            self.assertEqual(self.get(f"{ORDERS}/SO-8").status, 404)
        self.assertEqual(len(self.line.asked), 1)
        self.store(order_id="SO-8", state="New")
        self.clock.advance(views.ABSENT)
        self.assertEqual(self.get(f"{ORDERS}/SO-8").status, 200)

    def test_names_that_are_tried_push_nothing_out(self) -> None:
        """What is not there is kept apart from what may be needed while the ERP is away."""
        self.erp = ErpView(self.erp.views.values(), self.clock, entries=5)
        self.site = GatewaySite(Desk(endpoints(self.erp), Identification(self.tokens)), self.clock)
        self.get(f"{ORDERS}/SO-1")
        for number in range(100, 120):
            self.assertEqual(self.get(f"{ORDERS}/SO-{number}").status, 404)
        asked = len(self.line.asked)
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 200)
        self.assertEqual(self.get(f"{ORDERS}/SO-119").status, 404)
        self.assertEqual(len(self.line.asked), asked)

    def test_what_was_deleted_is_gone(self) -> None:
        """And what was made is there: the newest answer counts alone."""
        self.get(f"{ORDERS}/SO-1")
        self.change("SO-1", state="Shipped")
        self.clock.advance(31)
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 404)
        self.line.cut = True
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 404)
        self.clock.advance(views.ABSENT)
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 503)

    def test_who_hangs_up_takes_nothing_from_the_others(self) -> None:
        """The ERP is still asked for those that wait; when the last one has gone, the question is withdrawn."""
        self.line.holding = True
        first, second = self.ask(ORDERS), self.ask(ORDERS)
        first.hang_up()
        self.assertEqual(self.line.cancelled, 0)
        self.line.let_go()
        self.assertEqual(second.answer.status, 200)
        self.clock.advance(31)
        self.line.holding = True
        for each in [self.ask(ORDERS), self.ask(ORDERS)]:
            each.hang_up()
        self.assertEqual((self.line.cancelled, len(self.line.asked)), (1, 2))
        self.assertEqual(self.clock.getDelayedCalls()[1:], [])
        self.line.holding = False
        self.assertEqual(self.get(ORDERS).status, 200)
        self.assertEqual(self.told(), [])

    def test_a_gateway_that_stops_withdraws_all_questions(self) -> None:
        """Whoever waited is told to come again."""
        self.line.holding = True
        asking = [self.ask(ORDERS), self.ask(f"{ORDERS}/SO-1")]
        self.site.desk.answering.cancel()
        self.assertEqual(([each.answer.status for each in asking], self.line.cancelled), ([503, 503], 2))

    def test_few_questions_go_to_the_site_at_a_time(self) -> None:
        """Deliveries need its workers too; those that wait are bounded, and the next one is told to come again."""
        self.line.holding = True
        most = views.ASKING + views.WAITING
        asking = [self.ask(f"{ORDERS}/SO-{number}") for number in range(most + 3)]
        self.assertEqual(len(self.line.asked), views.ASKING)
        self.assertEqual([each.answer.status for each in asking if each.answered], [503] * 3)
        self.assertEqual(asking[-1].answer.headers["Retry-After"], "1")
        self.line.let_go()
        self.assertEqual(len(self.line.asked), most)
        self.assertTrue(all(each.answered for each in asking))

    def test_who_waits_in_vain_for_a_turn_says_nothing_of_the_site(self) -> None:
        """A crowd is no reason to leave the site alone, nor for an alarm: the next one is answered."""
        self.line.holding = True
        busy = [self.ask(f"{EVENTS}/E-{number}") for number in range(views.ASKING)]
        self.clock.advance(1)
        crowd = [self.ask(f"{ORDERS}/SO-{number}") for number in range(9)]
        self.clock.advance(4)
        self.assertEqual({503}, {each.answer.status for each in busy})
        self.assertEqual(["erp.unanswered"], self.told())
        self.clock.advance(1)
        self.assertEqual({"1"}, {each.answer.headers["Retry-After"] for each in crowd})
        self.line.holding = False
        self.assertEqual(200, self.get(f"{ORDERS}/SO-1").status)
        self.assertEqual([], self.told())


class WhileTheErpIsAway(ViewCase):
    """What is shown when the ERP does not answer."""

    def lose(self, how: str) -> None:
        """Let the ERP be away."""
        match how:
            case "refused":
                self.line.cut = True
            case "502":
                self.faults.turn({"bad_gateway": 1.0})
            case "503":
                self.settings.turn({"maintenance_mode": True})
            case "cut":
                self.faults.turn({"cut": 1.0})
            case "429":
                self.faults.turn({"service_time": 0.001})
                self.settings.turn({"rate_limit": 1e-9, "rate_window": 3600.0})
                spending = Deferred.fromCoroutine(self.client.ask("POST", "/api/method/ping", body=b"{}"))
                self.pass_on(0.01)
                self.successResultOf(spending)

    def pass_on(self, seconds: float) -> None:
        self.clock.advance(seconds)
        # What the site has written now must reach the client.
        self.agent.flush()

    def recover(self) -> None:
        self.line.cut = self.line.silent = False
        self.faults.turn({"bad_gateway": 0.0, "cut": 0.0, "service_time": 0.0})
        self.settings.turn({"maintenance_mode": False, "rate_limit": 0.0})

    def test_what_is_kept_is_shown_as_stale(self) -> None:
        """However it is away; once it is back, so is what is fresh."""
        for how in ("refused", "502", "503", "cut"):
            self.serve()
            before = self.get(ORDERS)
            self.clock.advance(40)
            self.lose(how)
            answer = self.get(ORDERS)
            self.assertEqual((answer.status, answer.body), (200, before.body), how)
            self.assertEqual(answer.headers["Age"], "40")
            self.assertEqual(answer.headers["Cache-Status"], "lineside; fwd=stale; ttl=-10; detail=stale")
            self.assertEqual(self.told(), ["erp.unanswered"], how)
            self.recover()
            self.clock.advance(views.LONGEST_REST)
            answer = self.get(ORDERS)
            self.assertEqual((answer.status, answer.headers["Cache-Status"]), (200, "lineside; fwd=miss"), how)
            self.assertEqual(self.told(), ["erp.answers"])

    def test_the_sites_rate_limit_is_no_fault_of_who_asks(self) -> None:
        """It is left alone for a minute at most, and what is kept is shown meanwhile."""
        self.get(ORDERS)
        self.clock.advance(40)
        self.lose("429")
        asking = self.ask(ORDERS)
        self.pass_on(0.01)
        self.assertTrue(asking.answer.headers["Cache-Status"].endswith("detail=stale"))
        self.assertTrue(self.alarms[0]["reason"].startswith("HTTP 429"))
        asked = len(self.line.asked)
        for _ in range(10):
            self.clock.advance(5.9)
            self.assertEqual(self.get(ORDERS).status, 200)
        self.assertEqual(len(self.line.asked), asked)
        self.recover()
        self.clock.advance(1.1)
        self.assertEqual(self.get(ORDERS).headers["Cache-Status"], "lineside; fwd=miss")

    def test_what_deliveries_leave_of_the_sites_allowance_is_waited_for(self) -> None:
        """The target's budget holds for questions as well."""
        budget = Budget()
        budget.end(budget.begin(1000.0), Allowance(1.0, 0.05, 3.0), 1000.0)
        self.serve(budget=budget)
        asking = self.ask(ORDERS)
        self.clock.advance(2.9)
        self.assertEqual((self.line.asked, asking.answered), ([], False))
        self.clock.advance(0.2)
        self.assertEqual((len(self.line.asked), asking.answer.status), (1, 200))

    def test_a_site_that_is_away_is_not_asked_by_each_request(self) -> None:
        """For some seconds nobody waits for what was just found out."""
        self.get(ORDERS)
        self.clock.advance(40)
        self.lose("refused")
        for _ in range(100):
            self.assertEqual(self.get(ORDERS).status, 200)
            self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 503)
        self.assertEqual(len(self.line.asked), 2)
        self.assertEqual(self.get(ORDERS).headers["Cache-Status"], "lineside; hit; ttl=-10; detail=stale")
        self.assertEqual(self.told(), ["erp.unanswered"])

    def test_a_site_that_says_so_is_away_for_all(self) -> None:
        """One DocType finds out, and no other asks in vain; silence may be that of one slow question."""
        self.lose("refused")
        self.assertEqual(self.get(ORDERS).status, 503)
        self.assertEqual(self.get(EVENTS).status, 503)
        self.assertEqual(len(self.line.asked), 1)
        self.recover()
        self.clock.advance(views.REST)
        self.line.silent = True
        asking = self.ask(ORDERS)
        self.clock.advance(5)
        self.assertEqual(asking.answer.status, 503)
        self.line.silent = False
        self.assertEqual((self.get(ORDERS).status, self.get(EVENTS).status), (503, 200))

    def test_a_silent_site_is_waited_for_as_long_as_the_view_says(self) -> None:
        """Then what is kept is shown, and the question is withdrawn."""
        self.get(ORDERS)
        self.clock.advance(40)
        self.line.silent = True
        asking = self.ask(ORDERS)
        self.clock.advance(4.9)
        self.assertFalse(asking.answered)
        self.clock.advance(0.2)
        self.assertEqual((asking.answer.status, asking.answer.headers["Age"]), (200, "45"))
        self.assertEqual(self.line.cancelled, 1)
        self.assertEqual([event["reason"] for event in self.alarms], ["no answer within 5 s"])

    def test_nothing_kept_is_503(self) -> None:
        """With the seconds after which to ask again."""
        self.lose("refused")
        answer = self.get(ORDERS)
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (503, "5"))
        self.clock.advance(3.5)
        self.assertEqual(self.get(ORDERS).headers["Retry-After"], "2")

    def test_what_is_too_old_is_not_shown(self) -> None:
        """After ttl and stale_if_error."""
        self.get(ORDERS)
        self.lose("refused")
        self.clock.advance(329)
        self.assertEqual(self.get(ORDERS).status, 200)
        self.clock.advance(views.REST + 1)
        self.assertEqual(self.get(ORDERS).status, 503)

    def test_what_was_not_there_is_not_known_for_long(self) -> None:
        """Nobody knows whether it was made meanwhile."""
        self.assertEqual(self.get(f"{ORDERS}/SO-8").status, 404)
        self.clock.advance(10)
        self.lose("refused")
        self.assertEqual(self.get(f"{ORDERS}/SO-8").status, 503)

    def test_an_alarm_is_repeated_once_a_minute(self) -> None:
        """Not with each request."""
        self.lose("refused")
        for _ in range(20):
            self.get(ORDERS)
            self.clock.advance(6)
        self.assertEqual(self.told(), ["erp.unanswered"] * 2)


class WhenTheErpIsUnwilling(ViewCase):
    """What a person must mend."""

    def test_a_wrong_key_is_the_gateways_fault(self) -> None:
        """An alarm with a remedy, and 502: it is not the caller who has no right."""
        self.serve(secret="wrong")
        answer = self.get(ORDERS)
        self.assertEqual(answer.status, 502)
        self.assertNotIn("WWW-Authenticate", answer.headers)
        [alarm] = self.alarms
        self.assertEqual((alarm["log_format"], alarm["log_level"].name), ("erp.blocked", "error"))
        self.assertEqual(alarm["remedy"], "check the target's api_key and api_secret")
        self.assertEqual((alarm["doctype"], alarm["target"]), ("Lab Order", "erp"))

    def refuse(self, kind: str, seconds: float) -> None:
        told = Deferred.fromCoroutine(
            self.client.request("POST", "/_standin/faults", body=json.dumps({kind: seconds}).encode())
        )
        self.assertEqual(self.successResultOf(told).status, 200)

    def test_what_the_gateway_may_not_read_any_more_is_not_shown(self) -> None:
        """Not even what was kept, now or when the site is away afterwards."""
        for kind in ("unauthorized", "forbidden"):
            self.serve()
            self.assertEqual(self.get(ORDERS).status, 200)
            self.clock.advance(31)
            self.refuse(kind, 20)
            self.assertEqual((self.get(ORDERS).status, self.told()), (502, ["erp.blocked"]), kind)
            self.clock.advance(views.REST)
            self.line.cut = True
            self.assertEqual(self.get(ORDERS).status, 503, kind)
            self.line.cut = False
            self.clock.advance(20)
            self.assertEqual(self.get(ORDERS).status, 200)
            self.assertEqual(self.told(), ["erp.unanswered", "erp.answers"])

    def test_a_field_that_the_doctype_lacks_is_told_in_the_log(self) -> None:
        """With what to look at; the ERP's words are not for the caller."""
        self.serve(fields=("no_such_field",))
        answer = self.get(ORDERS)
        self.assertEqual((answer.status, self.alarms[0]["log_format"]), (502, "erp.refused"))
        self.assertNotIn(b"no_such_field", answer.body)
        [alarm] = self.alarms
        self.assertIn("no_such_field", alarm["reason"])
        self.assertIn('check erp."Lab Order": does the DocType have these fields', alarm["remedy"])

    def test_an_error_of_the_erps_own_may_pass(self) -> None:
        """Such as its database being away: what is kept is shown meanwhile, and a person is told."""
        self.get(ORDERS)
        self.clock.advance(40)

        async def failing(body: bytes) -> Any:
            return Ambiguous("HTTP 500 (2003, cannot connect)", "OperationalError")

        self.patch(self.erp_site, "ask", failing)
        self.assertEqual(self.get(ORDERS).headers["Cache-Status"], "lineside; fwd=stale; ttl=-10; detail=stale")
        # Another question may be answered all the same.
        self.assertEqual(self.get(f"{ORDERS}/SO-1").status, 502)
        self.assertEqual(self.told(), ["erp.refused"])

    def test_what_the_erp_refuses_is_not_shown_from_what_is_kept(self) -> None:
        """It may have been taken away on purpose."""
        self.get(ORDERS)
        self.clock.advance(40)

        async def refusing(body: bytes) -> Any:
            return Refused("ValidationError", "not this")

        self.patch(self.erp_site, "ask", refusing)
        self.assertEqual((self.get(ORDERS).status, self.told()), (502, ["erp.refused"]))

    def test_what_is_no_answer_of_frappe_shows_nothing(self) -> None:
        """A proxy's page, or rows of another shape."""
        for value in ("text", [1], [{"state": "New"}], None):

            async def strange(body: bytes, value: Any = value) -> Any:
                return Answered(value)

            self.serve()
            self.patch(self.erp_site, "ask", strange)
            self.assertEqual(self.get(ORDERS).status, 503, value)
            self.assertEqual(self.told(), ["erp.unanswered"])
