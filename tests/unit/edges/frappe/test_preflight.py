"""Pre-flight: what Frappe would drop or bend is named, and what it takes goes through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.doctypes import DocType, doctype
from lineside.edges.frappe.preflight import problems, tables, unsure


def described(*fields: dict[str, Any], name: str = "Lab Order", **facts: Any) -> DocType:
    """Return a DocType as a site describes it."""
    return doctype({"name": name, "fields": list(fields), **facts}, name)


def field(kind: str, fieldname: str = "value", **facts: Any) -> dict[str, Any]:
    """Return a row of a DocType's meta."""
    return {"fieldname": fieldname, "fieldtype": kind, "label": fieldname.title(), **facts}


ROW = described(field("Data", "sku"), field("Float", "qty"), name="Lab Order Item", istable=1)
ORDER = described(
    field("Data", "order_id", unique=1),
    field("Float", "amount"),
    field("Datetime", "ordered_at"),
    field("Table", "items", options="Lab Order Item"),
    field("Section Break", "more"),
)


def found(document: dict[str, Any], order: DocType = ORDER, *, new: bool = True) -> list[str]:
    """Return what is wrong with an order."""
    return problems(document, order, {"Lab Order Item": ROW}, new=new)


TAKEN: dict[str, list[object]] = {
    "Data": ["x", "00123", 4711, 1.5, True, "ü" * 140, " " * 200 + "x", "", None],
    "Small Text": ["x" * 65_535],
    "Text Editor": ["<p>x</p>" * 20_000],
    "Float": [1, 1.5, "1.5", " -3 ", "1e3", True, None, "", 999_999_999_999],
    "Currency": ["12.50"],
    "Int": [1, 1.0, "12", "12.0", "-7", None, 2**31 - 1],
    "Long Int": [2**40],
    "Check": [0, 1, True, False, "0", "1", None],
    "Date": ["2026-01-02", "2026-1-2", "20260102", "2026/01/02", "2026-01-02 03:04:05", "2024-02-29", "", None],
    "Datetime": [
        "2026-01-02 03:04:05",
        "2026-01-02T03:04:05.123456",
        "2026-01-02 03:04",
        "2026-01-02",
        "2026-01-02 03:04:05.",
    ],
    "Time": ["03:04:05", "3:04", "23:59:59.999999", "2026-01-02 03:04:05"],
    "JSON": [{"a": [1]}, [1, 2], '{"a": 1}', "3", None],
    "Link": ["HR-EMP-00017", 17],
    "Signature": ["x" * 100_000],
    "": ["x"],
    "Kind of next year": ["x", 1],
}
"""By fieldtype: what Frappe stores as it is meant."""

BENT: dict[str, list[tuple[object, str]]] = {
    "Data": [
        ("x" * 141, "is longer than 140 characters"),
        ({"a": 1}, "a Data holds one value, not a table"),
        (["a"], "a Data holds one value, not a list"),
    ],
    "Small Text": [("ü" * 32_768, "is longer than 65535 bytes")],
    "Float": [
        ("abc", "is no number"),
        ("1,5", "is no number"),
        ("nan", "is no number"),
        ("1e999", "is no number"),
        (1e30, "is too large"),
        ([1], "a Float holds one value, not a list"),
    ],
    "Int": [
        ("abc", "is no whole number"),
        (12.7, "is no whole number"),
        ("12.7", "is no whole number"),
        (2**31, "is too large"),
    ],
    "Long Int": [(2**63, "is too large")],
    "Check": [("yes", "is neither 0 nor 1"), (2, "is neither 0 nor 1"), ("true", "is neither 0 nor 1")],
    "Date": [
        ("nope", "is no date"),
        ("02.01.2026", "is no date"),
        ("26-01-02", "is no date"),
        ("2026-02-29", "is no date of the calendar"),
        (1_700_000_000_000, "is no date"),
    ],
    "Datetime": [
        ("2026-01-02T03:04:05Z", "has an offset from UTC; write it with the filter site_time"),
        ("2026-01-02 03:04:05+05:30", "has an offset from UTC; write it with the filter site_time"),
        ("2026-01-02 03:04:05.123 +0100", "has an offset from UTC; write it with the filter site_time"),
        ("2026-01-02 24:00:00", "is no datetime of the calendar"),
        ("yesterday", "is no datetime"),
    ],
    "Time": [("noon", "is no time"), ("12:60", "is no time"), ("2026-01-02", "is no time")],
    "JSON": [("{bad", "is no JSON")],
    "Section Break": [("x", "a Section Break holds no value")],
}
"""By fieldtype: what Frappe would bend, drop or answer with a 500."""


@pytest.mark.parametrize("kind", TAKEN, ids=str)
def test_what_frappe_takes_goes_through(kind: str) -> None:
    """No value that arrives as it is meant is refused."""
    order = described(field(kind))
    for value in TAKEN[kind]:
        assert found({"value": value}, order) == [], value


@pytest.mark.parametrize("kind", BENT, ids=str)
def test_what_frappe_bends_is_named(kind: str) -> None:
    """Each such value is told with its field, and without itself."""
    order = described(field(kind))
    for value, said in BENT[kind]:
        assert found({"value": value}, order) == [f"value: {said}"], value
        assert found({"value": value}, order, new=False) == [f"value: {said}"], value


class Fields(SynchronousTestCase):
    def test_every_wrong_field_is_named_at_once(self) -> None:
        """Unknown, wrong, and wrong inside a row of a child table: all of them, where they stand."""
        document = {
            "order_id": "A-1",
            "amuont": 3,
            "ordered_at": "soon",
            "items": [{"sku": "x", "qty": 1}, {"sku": "y", "qty": "many", "color": "red"}],
        }
        self.assertEqual(
            found(document),
            [
                'amuont: Lab Order has no such field; did you mean "amount"?',
                "ordered_at: is no datetime",
                "items[1].qty: is no number",
                "items[1].color: Lab Order Item has no such field",
            ],
        )

    def test_a_child_table_is_a_list_of_tables(self) -> None:
        """Anything else in its place is named; rows of a DocType that is not known are left to Frappe."""
        self.assertEqual(found({"items": "x"}), ["items: a child table is a list of rows"])
        self.assertEqual(found({"items": ["x"]}), ["items[0]: a row is a table of fields"])
        self.assertEqual(found({"items": None}), [])
        self.assertEqual(problems({"items": [{"sku": "x" * 200}]}, ORDER, {}, new=True), [])
        self.assertEqual(tables({"items": [], "amount": 1, "x": 1}, ORDER), {"Lab Order Item"})

    def test_standard_fields_that_frappe_writes_itself(self) -> None:
        """An owner or a time of creation would be overwritten in silence; docstatus and idx are taken."""
        self.assertEqual(found({"owner": "x"}), ["owner: Frappe fills this itself"])
        self.assertEqual(found({"modified": "x"}, new=False), ["modified: Frappe fills this itself"])
        self.assertEqual(found({"docstatus": 1, "idx": 3}), [])
        self.assertEqual(found({"items": [{"name": "abc", "idx": 1, "doctype": "Lab Order Item"}]}), [])

    def test_a_name_goes_only_where_one_may_be_chosen(self) -> None:
        """Version 1 of the API ignores a name unless the DocType prompts for it."""
        self.assertEqual(found({"name": "A"}), ["name: Lab Order names its documents itself"])
        prompted = described(field("Data"), autoname="Prompt")
        self.assertEqual(found({"name": "A"}, prompted), [])
        self.assertEqual(found({"__newname": "A"}, prompted), [])
        self.assertEqual(found({"name": "A"}, prompted, new=False), ["name: Lab Order names its documents itself"])

    def test_the_field_says_how_long_and_which(self) -> None:
        """A length of its own, the options of a Select, and numbers that must not be negative."""
        order = described(
            field("Data", "code", length=5),
            field("Select", "state", options="New\nPaid\n"),
            field("Select", "naming_series", options="LO-.####"),
            field("Select", "free", options=""),
            field("Select", "many", options="\n".join("abcdefghijkl")),
            field("Int", "qty", non_negative=1, length=20),
        )
        self.assertEqual(
            found({"code": "123456", "state": "Shipped", "qty": -1, "many": "x"}, order),
            [
                "code: is longer than 5 characters",
                "state: is none of New, Paid",
                "qty: must not be negative",
                "many: is none of its 12 options",
            ],
        )
        self.assertEqual(
            found({"state": " Paid ", "naming_series": "X-.##", "free": "y", "qty": 2**40, "many": "l"}, order), []
        )

    def test_what_is_mandatory_is_known_only_of_a_site_s_own_doctypes(self) -> None:
        """An app's code fills mandatory fields before Frappe looks; a DocType without code has nobody to."""
        fields = [
            field("Data", "code", reqd=1),
            field("Text Editor", "note", reqd=1),
            field("Table", "rows", reqd=1, options="Lab Order Item"),
            field("Data", "kind", reqd=1, default="x"),
            field("Data", "title", reqd=1, fetch_from="customer.name"),
            field("Select", "state", reqd=1, options="New\nPaid"),
            field("Link", "company", reqd=1),
            field("Float", "amount", reqd=1),
            field("Section Break", "more", reqd=1),
        ]
        own = described(*fields, custom=1)
        lacking = ["code: is mandatory", "note: is mandatory", "rows: is mandatory"]
        self.assertEqual(found({}, own), lacking)
        self.assertEqual(found({"code": " ", "note": None, "rows": []}, own), lacking)
        self.assertEqual(found({"code": "x", "note": "x", "rows": [{}]}, own), [])
        self.assertEqual(found({}, own, new=False), [])
        self.assertEqual(found({}, described(*fields)), [])

    def test_what_only_the_sites_code_could_fill_is_a_warning(self) -> None:
        """Of an app's DocType any mandatory field, of one made on the site those that the above lets through."""
        fields = [
            field("Link", "employee", reqd=1),
            field("Data", "code", reqd=1),
            field("Datetime", "time", reqd=1, default="Now"),
            field("Data", "title", reqd=1, fetch_from="employee.title"),
            field("Data", "hash", reqd=1, read_only=1),
            field("Data", "secret", reqd=1, hidden=1),
            field("Select", "naming_series", reqd=1, options="A-.####"),
            field("Float", "amount", reqd=1),
            field("Table", "items", reqd=1, options="Lab Order Item"),
        ]
        children = {"Lab Order Item": described(field("Data", "sku", reqd=1), field("Float", "qty", reqd=1))}
        self.assertEqual(unsure({}, described(*fields), children), ["employee", "code", "items"])
        self.assertEqual(unsure({}, described(*fields, custom=1), children), ["employee"])
        sent = {"employee": "{{ employee }}", "code": 0, "items": [{"sku": "a"}, {"qty": 1}]}
        self.assertEqual(unsure(sent, described(*fields), children), ["items[1].sku"])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*TAKEN, *BENT, "Table", "Select"]), JSON_VALUES)
def test_no_value_breaks_the_check(kind: str, value: Any) -> None:
    """Whatever a template makes has an answer."""
    order = described(field(kind, options="Lab Order Item"))
    assert isinstance(found({"value": value, "other": value}, order), list)


@given(JSON_VALUES)
def test_no_description_breaks_the_reading(value: Any) -> None:
    """A site may say anything of its fields."""
    names = ("fieldname", "fieldtype", "label", "options", "reqd", "length", "default")
    row = dict.fromkeys((*names, "permlevel", "precision", "fetch_from", "role", "write"), value)
    facts = {
        "fields": [row, value],
        "autoname": value,
        "custom": value,
        "permissions": [{**row, "write": 1}, value],
    }
    assert doctype(facts, "X").name == "X"
    assert doctype({"fields": value, "permissions": value}, "X").name == "X"
