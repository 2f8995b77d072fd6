"""Updates and upserts: the one document that matches, changed where nobody else changed it meanwhile."""

from __future__ import annotations

from typing import Any

from tests.rig.frappe_case import Delivering
from tests.rig.played_frappe import ID_FIELD, Answer, cut, page, refused, told
from twisted.web.http import Request

from lineside.edges.frappe.changes import TRIES
from lineside.edges.frappe.reads import REPEATS
from lineside.model.event import delivery_id
from lineside.model.outcome import Blocked, Delivered, Refused, Retry, TargetDown
from lineside.model.ports import Delivery

ITEM: list[dict[str, Any]] = [
    ID_FIELD,
    {"fieldname": "item_code", "fieldtype": "Data"},
    {"fieldname": "shelf", "fieldtype": "Data"},
    {"fieldname": "weight", "fieldtype": "Float"},
    {"fieldname": "barcodes", "fieldtype": "Table", "options": "Item Barcode"},
]
IDENTITY = delivery_id("c-1", "weights")
STALE = (417, "TimestampMismatchError", "Document has been modified after you have opened it")


def change(action: str, match: dict[str, Any], document: dict[str, Any] | None = None, **facts: Any) -> Delivery:
    """Return a delivery that changes an item."""
    return Delivery(
        IDENTITY, action, "Item", {"weight": 2.5} if document is None else document, match=match, **facts
    )


class Changing(Delivering):
    def setUp(self) -> None:
        super().setUp()
        self.site.fields["Item"] = ITEM
        self.hold("A", shelf="1")
        self.hold("B", shelf="2")

    def hold(self, name: str, **fields: Any) -> None:
        """Let the site hold a document from before."""
        document = {"name": name, "item_code": name, "docstatus": 0, "modified": f"first {name}"}
        self.site.documents.append(document | fields)

    def item(self, name: str) -> dict[str, Any]:
        return next(document for document in self.site.documents if document["name"] == name)

    def outcome(self, *args: Any, **facts: Any) -> Any:
        [outcome] = self.deliver(change(*args, **facts))
        return outcome


class Update(Changing):
    def test_the_document_that_is_named_is_written_at_once(self) -> None:
        """One PUT with the fields and nothing else; the others stay as they are."""
        self.assertEqual(self.outcome("update", {"name": "A"}), Delivered("A"))
        self.assertEqual(self.site.asked, ["meta", "change"])
        self.assertEqual(self.site.bodies[-1], {"weight": 2.5})
        self.assertEqual((self.item("A")["weight"], self.item("A")["shelf"]), (2.5, "1"))
        self.assertNotIn("weight", self.item("B"))

    def test_the_document_that_matches_is_written_as_it_was_read(self) -> None:
        """Its last change goes along, so that a document which no longer matches is not written."""
        self.assertEqual(self.outcome("update", {"item_code": "B", "shelf": "2"}), Delivered("B"))
        self.assertEqual(self.site.asked, ["meta", "get_list", "change"])
        self.assertEqual(self.site.bodies[-1], {"weight": 2.5, "modified": "first B"})

    def test_a_document_changed_meanwhile_is_read_again(self) -> None:
        """Someone is quicker twice; the third try is in time, and a document that moved away is not touched."""

        def quicker(request: Request) -> bytes:
            self.item("A")["modified"] += "!"
            return self.site.change(request)

        self.site.fault("change", quicker)
        self.site.fault("change", quicker)
        self.assertEqual(self.outcome("update", {"shelf": "1"}), Delivered("A"))
        self.assertEqual(self.site.asked.count("get_list"), 3)

        def moved(request: Request) -> bytes:
            self.item("A").update(modified="moved", shelf="9")
            return self.site.change(request)

        self.site.fault("change", moved)
        self.assertEqual(self.outcome("update", {"shelf": "1"}), Refused("NoMatch", "no Item has this shelf"))

    def test_a_document_that_changes_all_the_time_waits(self) -> None:
        """After so many tries the route's backoff takes over; a named one is tried as often."""
        for match in ({"shelf": "1"}, {"name": "A"}):
            for _ in range(TRIES):
                self.site.fault("change", lambda request: refused(request, *STALE))
            self.assertEqual(self.outcome("update", match), Retry(STALE[2]))
            self.assertEqual(self.site.faults, [])

    def test_none_or_several_matches_are_refused_in_clear_words(self) -> None:
        """Nothing is written, and no value of the payload is told."""
        self.hold("C", shelf="2")
        for match, outcome in (
            ({"name": "Z"}, Refused("NoMatch", "no Item has this name")),
            ({"item_code": "Z", "shelf": "1"}, Refused("NoMatch", "no Item has this item_code and shelf")),
            ({"shelf": "2"}, Refused("SeveralMatches", "more than one Item has this shelf")),
        ):
            self.assertEqual(self.outcome("update", match), outcome)
        self.assertFalse(any("weight" in document for document in self.site.documents))

    def test_cancelled_documents_match_nothing(self) -> None:
        """They can never be changed; an amendment with the same values is the one that counts."""
        self.hold("A-1", shelf="1")
        self.item("A")["docstatus"] = 2
        self.assertEqual(self.outcome("update", {"shelf": "1"}), Delivered("A-1"))

    def test_what_would_match_anything_is_refused(self) -> None:
        """An empty value, or one that Frappe would take for an operator."""
        for value in (None, "", ["!=", "x"], {"a": 1}):
            outcome = self.outcome("update", {"shelf": value})
            self.assertEqual(outcome, Refused("match", "nothing to match by: shelf is empty or no single value"))
        self.assertEqual(self.site.asked, [])

    def test_a_field_to_match_by_that_is_not_there_waits_for_a_person(self) -> None:
        """It is the route's fault, not the record's."""
        for field in ("shelff", "barcodes"):
            outcome = self.outcome("update", {field: "1"})
            self.assertEqual(outcome, Blocked(f"Item has no field {field}", "check the route's match"))
        self.assertNotIn("get_list", self.site.asked)

    def test_what_the_document_links_to_may_be_missing_too(self) -> None:
        """A 404 over something else is told in Frappe's words, by name and by match."""
        for match in ({"name": "A"}, {"shelf": "1"}):
            for _ in range(TRIES):
                self.site.fault(
                    "change", lambda request: refused(request, 404, "DoesNotExistError", "Rack 1 not found")
                )
            outcome = self.outcome("update", match)
            self.assertEqual((outcome.code, outcome.reason), ("DoesNotExistError", "Rack 1 not found"))
            self.site.faults.clear()

    def test_an_answer_that_is_lost_is_no_loss(self) -> None:
        """The values are absolute: the same is written again."""

        def write_then_cut(request: Request) -> int:
            self.site.change(request)
            return cut(request)

        self.site.fault("change", write_then_cut)
        self.assertTrue(self.outcome("update", {"name": "A"}).ambiguous)
        self.assertEqual(self.outcome("update", {"name": "A"}, redelivered=True), Delivered("A"))

    def test_the_site_s_troubles_are_told_apart(self) -> None:
        """Refused words, locks, closed doors and silence, at the look-up and at the write."""
        faults: list[tuple[str, Answer, object]] = [
            ("change", lambda r: refused(r, 417, "UpdateAfterSubmitError", "Not allowed"), Refused),
            ("change", lambda r: refused(r, 417, "DocumentLockedError", "in use"), Retry),
            ("change", lambda r: refused(r, 500, "QueryDeadlockError", "Deadlock"), Retry),
            ("change", page(503), TargetDown),
            ("change", lambda r: refused(r, 403, "PermissionError", "No permission"), Blocked),
            ("change", page(200), Retry),
            ("get_list", lambda r: refused(r, 403, "PermissionError", "No permission"), Blocked),
            ("get_list", lambda r: refused(r, 500, "OperationalError", "Unknown column"), Retry),
            ("get_list", page(500), TargetDown),
            ("get_list", lambda r: told(r, 200, {"message": ["A"]}), TargetDown),
            ("meta", page(502), TargetDown),
        ]
        for kind, answer, expected in faults:
            self.clock.advance(3600)
            self.site.fault(kind, answer, times=1 + REPEATS if expected is TargetDown else 1)
            self.assertIsInstance(self.outcome("update", {"shelf": "1"}), expected, (kind, expected))
            self.site.faults.clear()
        self.assertNotIn("weight", self.item("A"))

    def test_the_pre_flight_looks_at_what_is_to_be_written(self) -> None:
        """A wrong value is named before the document is looked for; mandatory fields are there already."""
        outcome = self.outcome("update", {"shelf": "1"}, {"weight": "heavy", "color": "red"})
        self.assertEqual(outcome, Refused("preflight", "weight: is no number; color: Item has no such field"))
        self.assertEqual(self.outcome("update", {"name": "A"}, {"weight": float("nan")}).code, "NotJSON")
        self.assertNotIn("get_list", self.site.asked)

    def test_no_id_field_is_needed(self) -> None:
        """Only new documents carry the id."""
        self.site.fields["Item"] = ITEM[1:]
        self.assertEqual(self.outcome("update", {"name": "A"}), Delivered("A"))

    def test_a_doctype_that_is_not_there_waits_for_a_person(self) -> None:
        """A misspelt DocType refuses no record."""
        [outcome] = self.deliver(Delivery(IDENTITY, "update", "Itm", {}, match={"name": "A"}))
        self.assertEqual(outcome, Blocked("DocType Itm not found", "check the route's doctype"))


class Upsert(Changing):
    def test_what_matches_is_changed(self) -> None:
        """Nothing is inserted, and no id is needed for it."""
        self.assertEqual(self.outcome("upsert", {"item_code": "A"}), Delivered("A"))
        self.assertEqual(len(self.site.documents), 2)
        self.assertNotIn("lineside_id", self.item("A"))

    def test_where_nothing_matches_one_is_inserted_that_will(self) -> None:
        """With the delivery's id and the fields to match by, so that the next event finds it."""
        self.assertEqual(self.outcome("upsert", {"item_code": "C"}), Delivered("DOC-1"))
        self.assertEqual(
            self.item("DOC-1"), {"name": "DOC-1", "item_code": "C", "weight": 2.5, "lineside_id": IDENTITY}
        )
        later = Delivery(delivery_id("c-2", "weights"), "upsert", "Item", {"weight": 3}, match={"item_code": "C"})
        self.assertEqual(self.deliver(later), [Delivered("DOC-1")])
        self.assertEqual(self.item("DOC-1")["weight"], 3)

    def test_by_name_the_new_document_gets_its_name_where_one_may_be_chosen(self) -> None:
        """As the name itself, or through the field that names it; elsewhere the error is logged."""
        self.site.facts["Item"] = {"autoname": "field:item_code"}
        self.outcome("upsert", {"name": "C"})
        self.assertEqual(self.site.bodies[-1]["item_code"], "C")
        self.assertNotIn("name", self.site.bodies[-1])
        self.clock.advance(3600)
        self.site.documents.pop()
        self.site.facts["Item"] = {"autoname": "prompt"}
        self.assertEqual(self.outcome("upsert", {"name": "D"}), Delivered("D"))
        self.assertEqual(self.outcome("upsert", {"name": "D"}), Delivered("D"))
        self.assertEqual(len(self.site.documents), 3)

    def test_an_attempt_that_was_lost_after_the_insert_is_found(self) -> None:
        """By the fields that it was made to match; or by its id where someone changed those."""

        def commit_then_cut(request: Request) -> int:
            self.site.store(request)
            return cut(request)

        self.site.fault("insert", commit_then_cut)
        self.assertEqual(self.outcome("upsert", {"item_code": "C"}), Delivered("DOC-1", found=True))
        self.item("DOC-1")["item_code"] = "renamed"
        again = self.outcome("upsert", {"item_code": "C"}, redelivered=True)
        self.assertEqual(again, Delivered("DOC-1", found=True))
        self.assertEqual(len(self.site.documents), 3)

    def test_a_race_for_the_same_document_ends_in_one(self) -> None:
        """Another inserted it since we looked: a duplicate, looked for again, and changed."""

        def too_late(request: Request) -> bytes:
            self.hold("C")
            return refused(request, 409, "DuplicateEntryError", "Item C already exists")

        self.site.fault("insert", too_late)
        self.assertEqual(self.outcome("upsert", {"item_code": "C"}), Delivered("C"))
        self.assertEqual(self.item("C")["weight"], 2.5)

    def test_a_duplicate_of_something_else_is_refused(self) -> None:
        """Another unique field is in the way: after a few looks Frappe's words are told."""
        for _ in range(TRIES):
            self.site.fault(
                "insert", lambda request: refused(request, 417, "UniqueValidationError", "Barcode must be unique")
            )
        outcome = self.outcome("upsert", {"item_code": "C"})
        self.assertEqual((outcome.code, outcome.reason), ("UniqueValidationError", "Barcode must be unique"))

    def test_several_matches_are_refused(self) -> None:
        """It cannot be told which one is meant, and a third would be worse."""
        self.hold("C", shelf="1")
        self.assertEqual(self.outcome("upsert", {"shelf": "1"}).code, "SeveralMatches")

    def test_where_the_id_field_is_missing_nothing_is_inserted(self) -> None:
        """A repeat could insert twice; a document that is there is changed all the same."""
        self.site.fields["Item"] = ITEM[1:]
        outcome = self.outcome("upsert", {"item_code": "C"})
        self.assertEqual(outcome, Blocked("Item has no field lineside_id", "run lineside erp prepare"))
        self.assertEqual(self.outcome("upsert", {"item_code": "A"}), Delivered("A"))

    def test_a_submitted_one_is_submitted_either_way(self) -> None:
        """Found as a draft or made anew, the document is submitted in the request that writes it."""
        self.site.facts["Item"] = {"is_submittable": 1}
        self.assertEqual(self.outcome("upsert", {"item_code": "A"}, submit=True), Delivered("A"))
        self.assertEqual(self.item("A")["docstatus"], 1)
        self.assertEqual(self.outcome("upsert", {"item_code": "C"}, submit=True), Delivered("DOC-1"))
        self.assertEqual(self.item("DOC-1")["docstatus"], 1)
        self.assertEqual(self.site.asked.count("change"), 1)
