"""Answers held against what was sent: forms of Frappe's own are the same value, and anything else is told."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.altered import alterations
from lineside.edges.frappe.doctypes import DocType, doctype


def described(*fields: dict[str, Any], **facts: Any) -> DocType:
    """Return a DocType as a site describes it."""
    return doctype({"fields": list(fields), **facts}, "Weighing")


def field(kind: str, fieldname: str = "value", **facts: Any) -> dict[str, Any]:
    """Return a row of a DocType's meta."""
    return {"fieldname": fieldname, "fieldtype": kind, **facts}


WRITERS = [{"role": "HR User", "permlevel": 1, "write": 1}, {"role": "Employee", "permlevel": 1, "read": 1}]


def told(kind: str, sent: object, held: object, *, new: bool = True, **facts: Any) -> list[str]:
    """Return the fields that are told of where one of a kind was sent."""
    answered = {} if held is None else {"value": held}
    known = described(field(kind, **facts), permissions=WRITERS)
    found = alterations({"value": sent}, answered, known, {}, lambda level: None, new=new)
    return [one.field for one in found]


SAME: dict[str, list[tuple[object, object]]] = {
    "Data": [
        ("x", "x"),
        (" x  y ", "x y"),
        (4711, "4711"),
        (True, "1"),
        (1.5, 1.5),
        ("abc-1", "ABC-1"),
        ("", None),
        (" ", None),
        ("<script>alert(1)</script>b", "&lt;script&gt;alert(1)&lt;/script&gt;b"),
        ("a & b", "a &amp; b"),
        ("x", "x "),
    ],
    "Text Editor": [("one", '<div class="ql-editor read-mode"><p>one</p></div>')],
    "Float": [("1.5", 1.5), (" -3 ", -3.0), (0.30000000000000004, 0.3), (12.3456, 12.35), (None, 0.0), (0, None)],
    "Currency": [("12.50", 12.5), (1_000_000.004, 1_000_000.0)],
    "Int": [("12", 12), (12.0, 12), (True, 1), (0, None), ("", 0)],
    "Check": [(True, 1), ("0", 0), (False, None), (1.0, 1)],
    "Date": [("2026-01-02 03:04:05", "2026-01-02"), ("20260102", "2026-01-02"), ("2026-1-2", "2026-01-02")],
    "Datetime": [
        ("2026-01-02T03:04:05", "2026-01-02 03:04:05"),
        ("2026-01-02T03:04:05.123456", "2026-01-02 03:04:05.123456"),
        ("2026-01-02 03:04:05.9", "2026-01-02 03:04:05"),
        ("2026-01-02 03:04", "2026-01-02 03:04:00"),
        ("2026-01-02", "2026-01-02 00:00:00.000000"),
    ],
    "Time": [("3:04", "03:04:00"), ("08:05:06.7", "8:05:06"), ("2026-01-02 03:04:05", "03:04:05")],
    "JSON": [({"a": [1, 2]}, '{"a":[1,2]}'), ('{"a": 1}', '{"a":1}')],
    "Link": [("hr-emp-00017", "HR-EMP-00017"), (17, "17")],
    "Select": [(" IN ", "IN")],
    "Password": [("secret", "******")],
    "Section Break": [("x", None)],
}
OTHER: dict[str, list[tuple[object, object]]] = {
    "Data": [("x", "y"), ("x", None), ("007", "7"), ("<b>x</b>", None), ("4711", 0)],
    "Text Editor": [("one", None)],
    "Float": [(1.5, 1.6), (0.004, 0.0), (3.7, 4.0), ("1.5", None)],
    "Int": [(12, 13), (12, None)],
    "Check": [(1, 0), (0, 1)],
    "Date": [("2026-01-02", "2026-03-09")],
    "Datetime": [
        ("2026-01-02 03:04:05", "2026-01-02 04:04:05"),
        ("2026-01-02 03:04:05", "2026-01-02 03:04:05.723190"),
        ("2026-01-02 03:04:05.1", "2026-01-02 03:04:05.2"),
    ],
    "Time": [("03:04", "03:05:00")],
    "JSON": [({"a": 1}, '{"a":2}')],
    "Link": [("HR-EMP-00017", "HR-EMP-00018")],
    "Select": [("IN", "OUT")],
}


class Values(SynchronousTestCase):
    def test_a_form_of_frappes_own_is_the_same_value(self) -> None:
        """A document that is right is never reported, or people would stop reading reports."""
        for kind, pairs in SAME.items():
            for sent, held in pairs:
                self.assertEqual(told(kind, sent, held), [], (kind, sent, held))

    def test_any_other_value_is_told(self) -> None:
        """So is one that is gone, and a time to which a fraction has come: that is the time of the insert."""
        for kind, pairs in OTHER.items():
            for sent, held in pairs:
                self.assertEqual(told(kind, sent, held), ["value"], (kind, sent, held))

    def test_a_field_rounds_to_its_own_precision(self) -> None:
        """Where the DocType says how many digits a field has, no other rounding is one."""
        self.assertEqual(told("Float", 12.34567, 12.3457, precision="4"), [])
        self.assertEqual(told("Float", 12.34567, 12.35, precision="4"), ["value"])
        self.assertEqual(told("Currency", 12.5, 13.0, precision="0"), [])

    def test_what_was_sent_empty_has_a_default_in_a_new_document_only(self) -> None:
        """A change that empties a field must leave it empty."""
        self.assertEqual(told("Data", None, "default"), [])
        self.assertEqual(told("Data", None, "kept", new=False), ["value"])
        self.assertEqual(told("Float", None, 0.0, new=False), [])


class Documents(SynchronousTestCase):
    """Whole documents, and what is advised."""

    row = doctype({"fields": [field("Data", "sku"), field("Float", "rate")], "istable": 1}, "Row")
    parent = described(field("Data", "device"), field("Table", "items", options="Row"))

    def found(self, sent: dict[str, Any], answered: dict[str, Any], known: DocType | None = parent) -> list[str]:
        children = {"Row": self.row}
        return [one.field for one in alterations(sent, answered, known, children, lambda level: None, new=True)]

    def test_rows_are_held_against_their_own_fields(self) -> None:
        """A field of many rows is told of once; rows that the site adds behind are its own."""
        sent = {"items": [{"sku": "a", "rate": 1}, {"sku": "b", "rate": 2}]}
        kept = [{"sku": "a", "rate": 1.0}, {"sku": "b", "rate": 2.0}]
        self.assertEqual(self.found(sent, {"items": [*kept, {"sku": "tax", "rate": 19.0}]}), [])
        self.assertEqual(self.found(sent, {"items": [{**row, "rate": 9.0} for row in kept]}), ["items.rate"])
        self.assertEqual(self.found(sent, {"items": kept[:1]}), ["items"])
        self.assertEqual(self.found(sent, {}), ["items"])

    def test_standard_fields_are_frappes(self) -> None:
        """A submitted document has another docstatus and stamp than was sent."""
        self.assertEqual(self.found({"docstatus": 1, "modified": "x", "device": "a"}, {"device": "a"}), [])

    def test_a_site_that_describes_nothing(self) -> None:
        """Any form that explains a value will do, and a field that the site does not know is told of."""
        sent = {"at": "2026-01-02T03:04:05", "weight": "1.50", "rows": [{"sku": "a"}], "tag": "a", "nope": 1}
        answered = {"at": "2026-01-02 03:04:05", "weight": 1.5, "rows": [{"sku": "a"}], "tag": "b"}
        self.assertEqual(self.found(sent, answered, None), ["tag", "nope"])

    def test_what_is_advised_follows_from_the_field(self) -> None:
        """A role for a level, the field left out where the site has the last word."""
        facts: list[dict[str, Any]] = [{"permlevel": 1}, {"fetch_from": "a.b"}, {"read_only": 1}, {}]
        remedies = []
        for fact in facts:
            known = described(field("Data", **fact), permissions=WRITERS)
            [one] = alterations({"value": "x"}, {"value": "y"}, known, {}, lambda level: None, new=True)
            remedies.append(one.remedy)
        self.assertIn("permission to write at level 1 of Weighing (as HR User may)", remedies[0])
        self.assertIn("fetches it through a link", remedies[1])
        self.assertIn("fills it by itself", remedies[2])
        self.assertIn("look at the document", remedies[3])

    def test_a_field_that_may_be_written_but_not_read_is_not_missed(self) -> None:
        """The answer leaves it out; another value in it would be told of all the same."""
        known = described(field("Data", permlevel=1), permissions=WRITERS)
        for answered, fields in (({}, []), ({"value": "y"}, ["value"])):
            found = alterations({"value": "x"}, answered, known, {}, lambda level: True, new=True)
            self.assertEqual([one.field for one in found], fields)
