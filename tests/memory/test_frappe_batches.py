"""Many inserts in one request: all of them once, and none of them for another's fault."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
from tests.rig.frappe_case import FIRST, SECOND, Delivering
from tests.rig.played_frappe import ID_FIELD, Rendered, body, cut, hang, page, refused, told
from twisted.internet.defer import Deferred
from twisted.web.http import Request

from lineside.edges.frappe.batches import DEADLOCKS, MAX_BYTES, MAX_DOCUMENTS
from lineside.edges.frappe.lookup import LOOKUP_SECONDS
from lineside.edges.frappe.target import FrappeTarget
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Refused, Retry, TargetDown
from lineside.model.ports import Delivery

DEADLOCK = (500, "QueryDeadlockError", "Deadlock found when trying to get lock")


def checkin(number: int, **facts: Any) -> Delivery:
    """Return one of many deliveries."""
    identity = delivery_id(f"b-{number}", "checkin")
    return Delivery(identity, "insert", "Employee Checkin", {"employee": f"EMP-{number}"}, **facts)


def again(delivery: Delivery) -> Delivery:
    """Return a later attempt."""
    return msgspec.structs.replace(delivery, redelivered=True)


class Batch(Delivering):
    def setUp(self) -> None:
        super().setUp()
        self.deliver(FIRST)
        self.site.asked.clear()
        self.site.documents.clear()
        self.batch = [checkin(number) for number in range(8)]

    def sent(self) -> list[int]:
        """Return how many documents each request with several carried."""
        return [len(asked["docs"]) for asked in self.site.bodies if asked is not None and "docs" in asked]

    def assertEachOnce(self, deliveries: list[Delivery]) -> None:
        self.assertEqual(Counter(self.ids()), Counter(delivery.id for delivery in deliveries))


class Together(Batch):
    def test_several_inserts_are_one_request(self) -> None:
        """Each with its DocType and its id, in the order of the ids; the names come back in the batch's order."""
        outcomes = self.deliver(*self.batch)
        self.assertEqual(self.site.asked, ["insert_many"])
        [document, *_] = documents = self.site.bodies[-1]["docs"]
        self.assertEqual(document["doctype"], "Employee Checkin")
        ids = [document["lineside_id"] for document in documents]
        self.assertEqual(ids, sorted(delivery.id for delivery in self.batch))
        named = {document["name"]: document["lineside_id"] for document in self.site.documents}
        self.assertEqual([named[outcome.name] for outcome in outcomes], [delivery.id for delivery in self.batch])

    def test_one_alone_is_a_plain_insert(self) -> None:
        """So is the first one into a DocType: only its answer shows whether the site kept the id."""
        self.deliver(self.batch[0])
        self.assertEqual(self.site.asked, ["insert"])
        self.site.fields["ToDo"] = [ID_FIELD]
        todos = [Delivery(each.id, "insert", "ToDo", {}) for each in self.batch[1:4]]
        self.deliver(*todos)
        self.assertEqual(self.site.asked[1:], ["meta", "insert", "insert_many"])
        self.assertEqual(self.sent(), [2])

    def test_a_site_that_drops_the_id_gets_one_document_and_no_more(self) -> None:
        """The names that a batch returns would not have shown it."""
        target = FrappeTarget(self.client)
        self.site.drops_the_id = True
        outcomes = self.now(target.deliver(self.batch))
        self.assertEqual(Counter(type(outcome) for outcome in outcomes), {Delivered: 1, Blocked: 7})
        self.assertEqual(len(self.site.documents), 1)

    def test_a_long_list_is_cut_into_what_frappe_takes(self) -> None:
        """At most 200 documents, and no request of more than 4 MiB."""
        self.deliver(*(checkin(number) for number in range(MAX_DOCUMENTS + 3)))
        self.assertEqual(self.sent(), [MAX_DOCUMENTS, 3])
        self.site.bodies.clear()
        self.site.fields["ToDo"] = [ID_FIELD, {"fieldname": "note", "fieldtype": "Long Text"}]
        long = {"note": "x" * (MAX_BYTES // 3)}
        self.deliver(*(Delivery(delivery_id(f"l-{n}", "r"), "insert", "ToDo", long) for n in range(5)))
        self.assertEqual(self.sent(), [2, 2])

    def test_what_does_not_belong_together_goes_alone(self) -> None:
        """Other DocTypes have requests of their own; outcomes keep the order of the list, one twice in it too."""
        self.site.fields["ToDo"] = [ID_FIELD]
        todo = Delivery(SECOND.id, "insert", "ToDo", {})
        one, two, three, four = self.deliver(self.batch[0], todo, self.batch[1], self.batch[0])
        self.assertEqual(sorted(self.site.asked), ["insert", "insert_many", "meta"])
        self.assertEqual(one, four)
        self.assertEqual(len({one.name, two.name, three.name}), 3)

    def test_what_does_not_fit_is_left_out_before_anything_is_sent(self) -> None:
        """The pre-flight names it; its neighbours go in one request."""
        wrong = Delivery(SECOND.id, "insert", "Employee Checkin", {"weight": "heavy"})
        nan = Delivery(FIRST.id, "insert", "Employee Checkin", {"weight": float("nan")})
        outcomes = self.deliver(*self.batch, wrong, nan)
        self.assertEqual(outcomes[8], Refused("preflight", "weight: is no number"))
        self.assertEqual(outcomes[9].code, "NotJSON")
        self.assertEqual(self.sent(), [8])


class Refusals(Batch):
    def test_one_bad_document_is_found_by_halving(self) -> None:
        """The answer does not say which it was; the other seven are stored all the same."""
        self.site.bad.add("EMP-3")
        outcomes = self.deliver(*self.batch)
        self.assertEqual([type(outcome) for outcome in outcomes].index(Refused), 3)
        self.assertEqual(outcomes[3].reason, "Value missing: time")
        self.assertEachOnce([delivery for delivery in self.batch if delivery is not self.batch[3]])
        self.assertEqual(sorted(self.sent()), [2, 2, 4, 4, 8])

    def test_a_batch_of_bad_documents_comes_to_an_end(self) -> None:
        """Each is refused with Frappe's own words."""
        self.site.bad.update(f"EMP-{number}" for number in range(8))
        outcomes = self.deliver(*self.batch)
        self.assertEqual({outcome.code for outcome in outcomes}, {"MandatoryError"})
        self.assertEqual(self.site.documents, [])

    def test_what_an_earlier_attempt_had_stored_is_found_among_them(self) -> None:
        """A duplicate of ours in the batch: it is found, and the others go without it."""
        self.stored_before(self.batch[2])
        outcomes = self.deliver(*self.batch)
        self.assertEqual(outcomes[2], Delivered("DOC-0", found=True))
        self.assertEachOnce(self.batch)
        self.assertEqual(self.site.asked, ["insert_many", "get_list", "insert_many"])

    def test_an_error_of_frappe_s_own_over_one_document_is_found_by_halving_too(self) -> None:
        """A 500 that names its error: looked up first, since it may have committed, then halved."""

        def poisoned(request: Request) -> Rendered:
            documents = body(request).get("docs") or [body(request)]
            if any(document["employee"] == "EMP-5" for document in documents):
                return refused(request, 500, "OperationalError", "(1292, 'Incorrect date value')")
            return self.site.insert_many(request) if "docs" in body(request) else self.site.insert(request)

        for _ in range(20):
            self.site.fault("insert_many", poisoned)
            self.site.fault("insert", poisoned)
        outcomes = self.deliver(*self.batch)
        self.assertEqual(outcomes[5], Retry("HTTP 500 (1292, 'Incorrect date value')", ambiguous=True))
        self.assertEachOnce([delivery for delivery in self.batch if delivery is not self.batch[5]])

    def test_too_large_a_request_is_halved(self) -> None:
        """A proxy that takes less than we thought: 413, and two halves."""
        self.site.fault("insert_many", page(413))
        self.deliver(*self.batch)
        self.assertEqual(self.sent(), [8, 4, 4])
        self.assertEachOnce(self.batch)


class Uncertain(Batch):
    def test_a_cut_after_the_commit_is_looked_up_with_one_request(self) -> None:
        """A POST without a limit: as many ids make too long a GET, and a list has 20 rows by default."""

        def commit_then_cut(request: Request) -> int:
            self.site.store_many(request)
            return cut(request)

        self.site.fault("insert_many", commit_then_cut)
        outcomes = self.deliver(*self.batch)
        self.assertTrue(all(outcome.found for outcome in outcomes))
        self.assertEachOnce(self.batch)
        self.assertEqual(self.site.asked, ["insert_many", "get_list"])
        asked = self.site.bodies[-1]
        self.assertEqual((asked["limit_page_length"], asked["doctype"]), (0, "Employee Checkin"))

    def test_only_what_is_missing_is_tried_again(self) -> None:
        """Part of it was there from an earlier attempt; the rest may still be on its way."""
        self.stored_before(self.batch[4])
        self.site.fault("insert_many", page(500))
        outcomes = self.deliver(*self.batch)
        self.assertEqual(outcomes[4], Delivered("DOC-0", found=True))
        self.assertEqual(Counter(type(outcome) for outcome in outcomes), {Retry: 7, Delivered: 1})
        self.assertTrue(outcomes[0].ambiguous)

    def test_what_was_sent_before_is_looked_up_at_once_and_sent_alone(self) -> None:
        """One that breaks the site must not break its neighbours a second time."""
        self.stored_before(self.batch[0])
        repeated = [again(delivery) for delivery in self.batch[:3]]
        outcomes = self.deliver(*repeated, *self.batch[3:])
        self.assertEqual(self.site.asked, ["get_list", "insert", "insert", "insert_many"])
        self.assertEqual(outcomes[0], Delivered("DOC-0", found=True))
        self.assertEqual(self.sent(), [5])
        self.assertEachOnce(self.batch)

    def test_a_look_up_that_fails_stops_all_of_them(self) -> None:
        """Without knowing, nothing is sent; a row that nobody asked for is no answer."""
        for answer in (page(503), lambda request: told(request, 200, {"message": [{"name": "DOC-9"}]})):
            self.site.fault("get_list", answer)
            outcomes = self.deliver(*(again(delivery) for delivery in self.batch))
            self.assertEqual({type(outcome) for outcome in outcomes}, {TargetDown})
        self.assertEqual(self.site.documents, [])

    def test_a_look_up_that_hangs_holds_only_what_it_asks_for(self) -> None:
        """Others are delivered meanwhile; after its time-out it is made anew, and those that it asks for go on."""
        self.stored_before(self.batch[0])
        self.site.fault("get_list", hang)
        held = Deferred.fromCoroutine(self.target.deliver([again(delivery) for delivery in self.batch]))
        others = [checkin(number) for number in range(20, 28)]
        self.assertEqual({type(outcome) for outcome in self.deliver(*others)}, {Delivered})
        self.assertEqual(self.site.asked, ["get_list", "insert_many"])
        self.clock.advance(LOOKUP_SECONDS - 0.1)
        self.assertNoResult(held)
        self.clock.advance(0.1)
        found, *made = self.successResultOf(held)
        self.assertEqual(found, Delivered("DOC-0", found=True))
        self.assertFalse([outcome for outcome in made if not isinstance(outcome, Delivered) or outcome.found])
        self.assertEachOnce([*self.batch, *others])

    def test_an_answer_that_names_too_few_is_looked_up(self) -> None:
        """Names are matched to deliveries only where they are all there."""

        def forgetful(request: Request) -> bytes:
            names = self.site.store_many(request) or []
            return told(request, 200, {"message": names[1:]})

        self.site.fault("insert_many", forgetful)
        outcomes = self.deliver(*self.batch)
        self.assertEqual({(type(outcome), outcome.found) for outcome in outcomes}, {(Delivered, True)})

    def test_a_batch_that_hangs_is_given_up_and_looked_up(self) -> None:
        """After the time-out the look-up has 10 s of its own, and is made once more."""
        self.site.fault("insert_many", hang)
        self.site.fault("get_list", hang, times=2)
        delivering = Deferred.fromCoroutine(self.target.deliver(self.batch))
        self.clock.advance(30.0)
        self.assertEqual(self.site.asked, ["insert_many", "get_list"])
        self.clock.advance(LOOKUP_SECONDS)
        self.clock.advance(LOOKUP_SECONDS)
        down = TargetDown("no answer within 10 s", certain=False)
        self.assertEqual(self.successResultOf(delivering), [down] * 8)


class Deadlocks(Batch):
    def test_a_batch_that_lost_a_deadlock_is_sent_again(self) -> None:
        """MariaDB rolled it back: no fault of the records, so they do not pay for it with an attempt."""
        for _ in DEADLOCKS:
            self.site.fault("insert_many", lambda request: refused(request, *DEADLOCK))
        delivering = Deferred.fromCoroutine(self.target.deliver(self.batch))
        for pause in DEADLOCKS:
            self.assertNoResult(delivering)
            self.clock.advance(pause)
        self.assertEqual({type(outcome) for outcome in self.successResultOf(delivering)}, {Delivered})
        self.assertEachOnce(self.batch)

    def test_one_that_keeps_losing_waits_for_the_route_s_backoff(self) -> None:
        """Looked up, not halved: nobody in it is to blame."""
        for _ in range(1 + len(DEADLOCKS)):
            self.site.fault("insert_many", lambda request: refused(request, *DEADLOCK))
        delivering = Deferred.fromCoroutine(self.target.deliver(self.batch))
        self.clock.pump(DEADLOCKS)
        outcomes: list[Any] = self.successResultOf(delivering)
        self.assertEqual({(type(outcome), outcome.ambiguous) for outcome in outcomes}, {(Retry, True)})
        self.assertEqual(self.sent(), [8] * (1 + len(DEADLOCKS)))
        self.assertEqual(self.site.asked[-1], "get_list")


class Closed(Batch):
    def test_a_closed_door_is_every_delivery_s_outcome(self) -> None:
        """429 in the middle of the halving: nothing more is sent."""
        self.site.bad.add("EMP-0")
        calls: list[int] = []

        def then_busy(request: Request) -> bytes:
            calls.append(len(body(request)["docs"]))
            return self.site.insert_many(request) if len(calls) == 1 else page(429, retry_after="7")(request)

        for _ in range(4):
            self.site.fault("insert_many", then_busy)
        outcomes = self.deliver(*self.batch)
        self.assertEqual(outcomes, [TargetDown("HTTP 429", 7.0)] * 8)
        self.assertEqual(calls, [8, 4])

    def test_a_missing_permission_blocks_all_of_them(self) -> None:
        """As it would each of them alone."""
        self.site.fault("insert_many", lambda request: refused(request, 403, "PermissionError", "No permission"))
        self.assertEqual({type(outcome) for outcome in self.deliver(*self.batch)}, {Blocked})

    def test_a_document_someone_is_at_work_on_lets_all_wait(self) -> None:
        """A lock passes: neither refused nor ambiguous."""
        self.site.fault("insert_many", lambda request: refused(request, 417, "DocumentLockedError", "in use"))
        self.assertEqual(self.deliver(*self.batch), [Retry("in use")] * 8)

    def test_a_field_that_is_missing_stops_the_batch_before_it_is_sent(self) -> None:
        """Where ids would be dropped nothing is inserted."""
        self.site.fields["ToDo"] = []
        outcomes = self.deliver(*(Delivery(each.id, "insert", "ToDo", {}) for each in self.batch))
        self.assertEqual(outcomes, [Blocked("ToDo has no field lineside_id", "run lineside erp prepare")] * 8)
        self.assertNotIn("insert_many", self.site.asked)


class Json(Batch):
    def test_a_batch_is_written_as_its_documents_are(self) -> None:
        """Codes, umlauts and numbers arrive as they were."""
        self.deliver(
            Delivery(FIRST.id, "insert", FIRST.doctype, {"employee": "00123", "device_id": "Tür 1", "weight": 1.5}),
            Delivery(SECOND.id, "insert", FIRST.doctype, {"employee": "1e5"}),
        )
        stored = {document["lineside_id"]: document for document in self.site.documents}
        self.assertEqual(
            {name: stored[FIRST.id][name] for name in ("employee", "device_id", "weight")},
            {"employee": "00123", "device_id": "Tür 1", "weight": 1.5},
        )
        self.assertEqual(json.dumps(stored[SECOND.id]["employee"]), '"1e5"')
