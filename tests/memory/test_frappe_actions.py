"""Submission, calls and the pre-flight, at a played site."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.rig.frappe_case import AGAIN, FIRST, SECOND, Delivering
from tests.rig.played_frappe import ID_FIELD, cut, page, refused, told
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.web.http import Request
from zope.interface import provider

from lineside.edges.frappe.meta import REFRESH_SECONDS, STALE_SECONDS
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Delivery

SUBMIT = msgspec.structs.replace(FIRST, submit=True)
SUBMIT_AGAIN = msgspec.structs.replace(AGAIN, submit=True)


class Logged(Delivering):
    def setUp(self) -> None:
        super().setUp()
        self.logged: list[str] = []

        @provider(ILogObserver)
        def note(event: LogEvent) -> None:
            self.logged.append(event["log_format"])

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)


class Submit(Logged):
    def setUp(self) -> None:
        super().setUp()
        self.site.facts[FIRST.doctype] = {"is_submittable": 1}

    def test_insert_and_submission_are_one_request(self) -> None:
        """No draft is left behind where the submission fails."""
        self.assertEqual(self.deliver(SUBMIT), [Delivered("DOC-1")])
        self.assertEqual(self.site.asked, ["meta", "insert"])
        self.assertEqual(self.site.documents[0]["docstatus"], 1)

    def test_a_draft_of_an_earlier_attempt_is_submitted(self) -> None:
        """Found by its id, still a draft: one PUT, and no second document."""
        self.stored_before()
        self.assertEqual(self.deliver(SUBMIT_AGAIN), [Delivered("DOC-0", found=True)])
        self.assertEqual(self.site.bodies[-1], {"docstatus": 1})
        self.assertEqual(self.deliver(SUBMIT_AGAIN), [Delivered("DOC-0", found=True)])
        self.assertEqual(self.site.asked.count("change"), 1)
        self.assertEqual(self.ids(), [FIRST.id])

    def test_a_site_that_stores_a_draft_all_the_same_is_asked_to_submit_it(self) -> None:
        """What counts is what the answer shows."""

        def as_draft(request: Request) -> bytes:
            document = self.site.store(request)
            assert document is not None
            document["docstatus"] = 0
            return told(request, 200, {"data": document})

        self.site.fault("insert", as_draft)
        self.assertEqual(self.deliver(SUBMIT), [Delivered("DOC-1", found=True)])
        self.assertEqual(self.site.documents[0]["docstatus"], 1)

    def test_a_cancelled_document_counts_as_delivered(self) -> None:
        """Someone cancelled it in the ERP: it is neither made again nor submitted, and the log says so."""
        self.stored_before()
        self.site.documents[0]["docstatus"] = 2
        self.assertEqual(self.deliver(SUBMIT_AGAIN), [Delivered("DOC-0", found=True)])
        self.assertEqual(self.deliver(AGAIN), [Delivered("DOC-0", found=True)])
        self.assertEqual(self.logged.count("delivery.cancelled"), 2)
        self.assertNotIn("change", self.site.asked)

    def test_a_submission_that_fails_is_told_as_it_is(self) -> None:
        """The ERP's refusal is the record's; a lost answer is looked up the next time; a closed door closes."""
        self.stored_before()
        for answer, expected in (
            (lambda r: refused(r, 417, "NegativeStockError", "1 needed"), Refused),
            (lambda r: refused(r, 417, "TimestampMismatchError", "modified"), Retry),
            (cut, Retry),
            (page(502), TargetDown),
            (lambda r: refused(r, 403, "PermissionError", "submit"), Blocked),
        ):
            self.site.fault("change", answer)
            [outcome] = self.deliver(SUBMIT_AGAIN)
            self.assertIsInstance(outcome, expected)

    def test_a_doctype_that_knows_no_submission_waits_for_a_person(self) -> None:
        """It is the route's fault; mended, the route goes on at once."""
        self.site.facts.clear()
        [outcome] = self.deliver(SUBMIT)
        self.assertEqual(
            outcome, Blocked("documents of Employee Checkin cannot be submitted", "take submit out of the route")
        )
        self.site.facts[FIRST.doctype] = {"is_submittable": 1}
        self.assertEqual(self.deliver(SUBMIT), [Delivered("DOC-1")])


class Call(Delivering):
    def call(self, *answers: Any) -> list[Outcome]:
        """Call a method that answers so, one after the other."""
        calling = Delivery(FIRST.id, "call", "", {"device": "gate", "n": 3}, method="app.scans.take")
        outcomes: list[Outcome] = []
        for answer in answers:
            self.site.fault("take", answer)
            outcomes += self.deliver(calling)
        return outcomes

    def test_a_method_is_called_with_the_document_as_its_arguments(self) -> None:
        """One POST and no more: there is nothing to look up. The name it returns is kept, if it returns one."""
        outcomes = self.call(
            lambda r: told(r, 200, {"message": {"name": "SCAN-1", "qty": 3}}),
            lambda r: told(r, 200, {"message": "SCAN-2"}),
            lambda r: told(r, 200, {"message": [1]}),
            lambda r: told(r, 200, {}),
        )
        self.assertEqual(
            outcomes,
            [Delivered("SCAN-1"), Delivered("SCAN-2"), Delivered("app.scans.take"), Delivered("app.scans.take")],
        )
        self.assertEqual(self.site.seen[0].path, b"/api/method/app.scans.take")
        self.assertEqual(self.site.bodies[0], {"device": "gate", "n": 3})
        self.assertEqual(self.site.asked, ["take"] * 4)

    def test_a_call_that_may_have_arrived_is_made_again(self) -> None:
        """At least once: neither a cut nor a page nor a 500 is taken for done."""
        for outcome in self.call(cut, page(200), page(500), lambda r: told(r, 200, {"data": 1})):
            assert isinstance(outcome, Retry)
            self.assertTrue(outcome.ambiguous)

    def test_what_the_method_says_is_told(self) -> None:
        """Refused, locked, missing, forbidden, busy."""
        outcomes = self.call(
            lambda r: refused(r, 417, "ValidationError", "Unknown device"),
            lambda r: refused(r, 417, "DocumentLockedError", "in use"),
            lambda r: refused(r, 417, "ValidationError", "Failed to get method for command app.scans.take"),
            lambda r: refused(r, 403, "PermissionError", "Not permitted"),
            page(503),
        )
        self.assertEqual([type(each) for each in outcomes], [Refused, Retry, Blocked, Blocked, TargetDown])
        self.assertEqual(getattr(outcomes[2], "remedy", None), "check the route's method")

    def test_arguments_that_are_no_json_are_refused(self) -> None:
        """Before anything is sent."""
        [outcome] = self.deliver(Delivery(FIRST.id, "call", "", {"n": float("inf")}, method="app.scans.take"))
        self.assertEqual(outcome.code, "NotJSON")
        self.assertEqual(self.site.asked, [])


class Preflight(Logged):
    def test_a_document_that_would_be_bent_is_not_sent(self) -> None:
        """Every wrong field is named, of a single insert as of a batch, and nothing reaches the site."""
        wrong = {"employee": "EMP-1", "weight": "1,5", "color": "red", "device_id": "x" * 141}
        [outcome] = self.deliver(msgspec.structs.replace(FIRST, document=wrong))
        self.assertEqual(
            outcome,
            Refused(
                "preflight",
                "weight: is no number; color: Employee Checkin has no such field; "
                "device_id: is longer than 140 characters",
            ),
        )
        self.assertEqual(set(self.site.asked), {"meta"})

    def test_a_field_added_meanwhile_is_seen_before_a_record_is_refused(self) -> None:
        """What the site said a while ago is no ground to refuse on; what it said just now is."""
        self.deliver(FIRST)
        self.site.fields[FIRST.doctype] = [
            *self.site.fields[FIRST.doctype],
            {"fieldname": "color", "fieldtype": "Data"},
        ]
        colored = msgspec.structs.replace(SECOND, document={"color": "red"})
        [early] = self.deliver(colored)
        self.assertIsInstance(early, Refused)
        self.clock.advance(STALE_SECONDS)
        self.assertIsInstance(self.deliver(colored)[0], Delivered)
        self.assertEqual(self.site.asked.count("meta"), 2)

    def test_many_bad_records_do_not_ask_for_the_meta_each_time(self) -> None:
        """At most once in so many seconds."""
        bad = [Delivery(f"{n:032x}", "insert", FIRST.doctype, {"color": "red"}) for n in range(50)]
        for delivery in bad:
            self.deliver(delivery)
        self.assertEqual(self.site.asked, ["meta"])

    def test_rows_of_a_child_table_are_looked_at_too(self) -> None:
        """The DocType of the rows is asked for once, and remembered."""
        self.site.fields["Order"] = [
            ID_FIELD,
            {"fieldname": "items", "fieldtype": "Table", "options": "Order Item"},
        ]
        self.site.fields["Order Item"] = [{"fieldname": "qty", "fieldtype": "Float"}]
        order = Delivery(FIRST.id, "insert", "Order", {"items": [{"qty": 1}, {"qty": "many", "sku": 1}]})
        self.assertEqual(
            self.deliver(order),
            [Refused("preflight", "items[1].qty: is no number; items[1].sku: Order Item has no such field")],
        )
        good = msgspec.structs.replace(order, document={"items": [{"qty": 2}]})
        self.assertEqual(self.deliver(good), [Delivered("DOC-1")])
        self.assertEqual(self.site.asked, ["meta", "meta", "insert"])

    def test_a_long_list_of_faults_is_cut(self) -> None:
        """The first twenty are named, and how many more there are."""
        wrong = {f"field_{n}": n for n in range(25)}
        [outcome] = self.deliver(msgspec.structs.replace(FIRST, document=wrong))
        self.assertTrue(outcome.reason.endswith("; and 5 more"))

    def test_a_site_that_does_not_describe_its_doctypes(self) -> None:
        """Version 14: documents go as they are, the log says so once, and the meta is asked for once an hour."""
        self.site.without_v2 = True
        for number in range(3):
            delivery = Delivery(f"{number:032x}", "insert", FIRST.doctype, {"color": "red"})
            self.assertIsInstance(self.deliver(delivery)[0], Delivered)
        self.assertEqual(self.logged.count("frappe.preflight_off"), 1)
        self.assertEqual((self.site.asked.count("meta"), self.site.asked.count("fields")), (1, 1))
        self.clock.advance(REFRESH_SECONDS)
        self.deliver(SECOND)
        self.assertEqual((self.site.asked.count("meta"), self.logged.count("frappe.preflight_off")), (2, 1))

    def test_a_site_that_cannot_describe_its_rows_now_is_down(self) -> None:
        """Nothing is refused, and nothing sent, for want of an answer."""
        self.site.fields["Order"] = [
            ID_FIELD,
            {"fieldname": "items", "fieldtype": "Table", "options": "Order Item"},
        ]
        self.deliver(Delivery(SECOND.id, "insert", "Order", {}))
        self.site.fault("meta", page(503))
        [outcome] = self.deliver(Delivery(FIRST.id, "insert", "Order", {"items": [{"qty": 1}]}))
        self.assertIsInstance(outcome, TargetDown)
