"""Documents with a life: child tables, submission, links, stock, and the methods that change them."""

from __future__ import annotations

import json
from typing import Any

from tests.rig.standin_site import Got, SiteTests

METHOD = "/api/method/frappe.client."


class DocumentTests(SiteTests):
    def setUp(self) -> None:
        super().setUp()
        self.item("BOLT")
        self.item("NUT")
        self.insert("Customer", customer_name="Müller")
        self.insert("Supplier", supplier_name="Schmidt")

    def item(self, code: str) -> None:
        self.insert("Item", item_code=code, item_group="Products", stock_uom="Nos")

    def order(self, *rows: dict[str, Any], **fields: object) -> Got:
        items = list(rows) or [{"item_code": "BOLT", "qty": 2, "rate": 3}]
        given = {"customer": "Müller", "company": "Stand-in Works", "delivery_date": "2026-05-01", "items": items}
        return self.insert("Sales Order", **{**given, **fields})

    def put(self, document: dict[str, Any], **changes: object) -> Got:
        doctype = document["doctype"].replace(" ", "%20")
        return self.ask("PUT", f"/api/resource/{doctype}/{document['name']}", changes)

    def read(self, document: dict[str, Any]) -> dict[str, Any]:
        of = {"doctype": document["doctype"], "name": document["name"]}
        found: dict[str, Any] = self.ask("POST", f"{METHOD}get", of).body["message"]
        return found


class Tables(DocumentTests):
    def test_rows_belong_to_their_parent_and_have_an_order(self) -> None:
        """With names of their own, the parent's state, and what is fetched through their links."""
        order = self.order({"item_code": "bolt", "qty": 2, "rate": 3}, {"item_code": "NUT", "qty": "4"}).body[
            "data"
        ]
        self.assertTrue(order["name"].startswith("SAL-ORD-2026-"))
        first, second = self.read(order)["items"]
        self.assertEqual((first["idx"], second["idx"]), (1, 2))
        self.assertEqual(first["parent"], order["name"])
        self.assertEqual((first["parenttype"], first["parentfield"]), ("Sales Order", "items"))
        self.assertEqual((first["item_code"], first["item_name"], first["stock_uom"]), ("BOLT", None, "Nos"))
        self.assertEqual((first["amount"], second["qty"], order["grand_total"]), (6.0, 4.0, 6.0))
        self.assertNotEqual(first["name"], second["name"])

    def test_a_put_replaces_all_rows_and_keeps_those_it_names(self) -> None:
        """One that is not given is gone; fields that a kept row does not give are empty."""
        order = self.order({"item_code": "BOLT", "qty": 2, "rate": 3}, {"item_code": "NUT", "qty": 1}).body["data"]
        kept = order["items"][1]["name"]
        rows = [{"item_code": "BOLT", "qty": 9, "rate": 1}, {"name": kept, "item_code": "NUT", "qty": 5}]
        self.put(order, items=rows)
        changed = self.read(order)["items"]
        self.assertEqual([(row["item_code"], row["qty"]) for row in changed], [("BOLT", 9.0), ("NUT", 5.0)])
        self.assertEqual([row["name"] == kept for row in changed], [False, True])
        self.put(order, po_no="7")
        self.assertEqual([row["qty"] for row in self.read(order)["items"]], [9.0, 5.0])

    def test_faults_in_rows_are_told_with_their_number(self) -> None:
        """Missing values, unknown links, no rows at all, and rows that are none; nothing is stored."""
        missing = self.order({"item_code": "BOLT", "qty": 1}, {"qty": 1})
        self.assertEqual(missing.error, (417, "MandatoryError"))
        self.assertIn("Row #2", missing.body["_server_messages"])
        unknown = self.order({"item_code": "GLUE", "qty": 1})
        self.assertEqual(unknown.error, (417, "LinkValidationError"))
        self.assertIn("Row #1: Item Code: GLUE", unknown.body["exception"])
        self.assertEqual(self.order(items=[]).error, (417, "MandatoryError"))
        self.assertEqual(self.order(items="BOLT").error, (500, "TypeError"))
        self.assertEqual(self.rows("Sales Order"), [])
        self.assertEqual(self.rows("Sales Order Item"), [])

    def test_rows_go_with_their_parent(self) -> None:
        """A deletion leaves none behind."""
        order = self.order().body["data"]
        self.ask("DELETE", f"/api/resource/Sales%20Order/{order['name']}")
        self.assertEqual(self.rows("Sales Order Item"), [])


class Submission(DocumentTests):
    def test_a_document_is_inserted_and_submitted_at_once(self) -> None:
        """All or nothing."""
        order = self.order(docstatus=1).body["data"]
        self.assertEqual((order["docstatus"], order["items"][0]["docstatus"]), (1, 1))
        self.assertEqual(self.order({"qty": 1}, docstatus=1).status, 417)
        self.assertEqual(len(self.rows("Sales Order")), 1)

    def test_a_submitted_document_takes_the_changes_its_fields_allow(self) -> None:
        """Others are 417, in rows too; so are other rows. A repeated submit succeeds."""
        order = self.order(docstatus=1).body["data"]
        self.assertEqual(self.put(order, po_no="7").status, 200)
        self.assertEqual(self.put(order, docstatus=1).status, 200)
        row = self.read(order)["items"][0]
        other = {"item_code": "NUT", "qty": 1}
        self.assertEqual(self.put(order, transaction_date="2026-01-01").error, (417, "UpdateAfterSubmitError"))
        for rows in ([{**row, "qty": 3}], [row, other], [other]):
            self.assertEqual(self.put(order, items=rows).error, (417, "UpdateAfterSubmitError"))
        self.assertEqual(self.read(order)["items"], [row])

    def test_the_steps_lead_from_draft_to_submitted_to_cancelled(self) -> None:
        """There is no other, and no way back."""
        draft = self.order().body["data"]
        self.assertEqual(self.put(draft, docstatus=2).error, (417, "DocstatusTransitionError"))
        self.assertEqual(self.put(draft, docstatus=7).error, (417, "ValidationError"))
        self.assertEqual(self.order(docstatus=2).error, (417, "DocstatusTransitionError"))
        self.put(draft, docstatus=1)
        self.assertEqual(self.put(draft, docstatus=0).error, (417, "DocstatusTransitionError"))
        path = f"/api/resource/Sales%20Order/{draft['name']}"
        self.assertEqual(self.ask("DELETE", path).error, (417, "ValidationError"))
        self.assertEqual(self.put(draft, docstatus=2).status, 200)
        self.assertEqual(self.put(draft, po_no="8").error, (417, "ValidationError"))
        self.assertEqual(self.ask("DELETE", path).status, 202)

    def test_an_amendment_is_named_after_what_it_amends(self) -> None:
        """And counts on from there."""
        name = self.order(docstatus=1).body["data"]["name"]
        for number in (1, 2):
            self.ask("POST", f"{METHOD}cancel", {"doctype": "Sales Order", "name": name})
            amended = self.order(amended_from=name, docstatus=1).body["data"]["name"]
            self.assertEqual(amended, f"{name}-1" if number == 1 else f"{name[:-2]}-2")
            name = amended

    def test_a_doctype_that_is_not_submittable_refuses_it(self) -> None:
        """403, whatever the user."""
        self.assertEqual(self.insert("ToDo", description="x", docstatus=1).error, (403, "PermissionError"))

    def test_methods_submit_and_cancel(self) -> None:
        """run_method in the body, run_doc_method, v2, and the functions of frappe.client."""
        names = [self.order().body["data"]["name"] for _ in range(4)]
        first, second, third, fourth = names
        path = "/api/resource/Sales%20Order/"
        done = self.ask("POST", f"{path}{first}", {"run_method": "submit"})
        self.assertEqual(done.body["data"]["docstatus"], 1)
        of = {"dt": "Sales Order", "dn": second, "method": "submit"}
        done = self.ask("POST", "/api/method/run_doc_method", of)
        self.assertEqual([doc["docstatus"] for doc in done.body["docs"]], [1])
        done = self.ask("POST", f"/api/v2/document/Sales%20Order/{third}/method/submit", {})
        self.assertEqual(done.body["data"]["docstatus"], 1)
        whole = self.ask("POST", f"{METHOD}get", {"doctype": "Sales Order", "name": fourth}).body["message"]
        done = self.ask("POST", f"{METHOD}submit", {"doc": whole})
        self.assertEqual(done.body["message"]["docstatus"], 1)
        self.ask("POST", f"{METHOD}cancel", {"doctype": "Sales Order", "name": fourth})
        rows = self.rows("Sales Order", fields=["docstatus"], order_by="name asc")
        self.assertEqual([row["docstatus"] for row in rows], [1, 1, 1, 2])
        self.assertEqual(self.ask("GET", f"{path}{first}?run_method=submit").error, (403, "PermissionError"))
        self.assertEqual(self.ask("POST", f"{path}{first}", {"run_method": "hack"}).error, (403, "PermissionError"))

    def test_submit_needs_the_document_as_it_is(self) -> None:
        """An old `modified`, or none, is 417; without a name it is inserted first."""
        order = self.order().body["data"]
        self.put(order, po_no="7")
        self.assertEqual(self.ask("POST", f"{METHOD}submit", {"doc": order}).error, (417, "TimestampMismatchError"))
        del order["modified"]
        self.assertEqual(self.ask("POST", f"{METHOD}save", {"doc": order}).error, (417, "TimestampMismatchError"))
        new = {name: order[name] for name in ("doctype", "customer", "company", "delivery_date", "items")}
        made = self.ask("POST", f"{METHOD}submit", {"doc": json.dumps(new)})
        self.assertEqual(made.body["message"]["docstatus"], 1)


class Links(DocumentTests):
    def test_what_others_link_to_cannot_be_deleted(self) -> None:
        """Rows of child tables link for their parent."""
        order = self.order().body["data"]
        for path in ("Item/BOLT", "Customer/M%C3%BCller"):
            self.assertEqual(self.ask("DELETE", f"/api/resource/{path}").error, (417, "LinkExistsError"))
        self.ask("DELETE", f"/api/resource/Sales%20Order/{order['name']}")
        self.assertEqual(self.ask("DELETE", "/api/resource/Item/BOLT").status, 202)

    def test_what_a_submitted_document_links_to_cannot_be_cancelled(self) -> None:
        """Once that is cancelled it can."""
        order = self.order(docstatus=1).body["data"]
        self.receive(5)
        row = {"item_code": "BOLT", "qty": 1, "warehouse": "Stores - SW", "against_sales_order": order["name"]}
        note = self.insert("Delivery Note", customer="Müller", company="Stand-in Works", items=[row], docstatus=1)
        self.assertEqual(self.put(order, docstatus=2).error, (417, "LinkExistsError"))
        self.put(note.body["data"], docstatus=2)
        self.assertEqual(self.put(order, docstatus=2).status, 200)

    def receive(self, quantity: float) -> Got:
        row = {"item_code": "BOLT", "qty": quantity, "rate": 1, "warehouse": "Stores - SW"}
        return self.insert(
            "Purchase Receipt", supplier="Schmidt", company="Stand-in Works", items=[row], docstatus=1
        )

    def test_a_new_name_is_followed_by_every_link(self) -> None:
        """And by the field that gave the old one."""
        order = self.order().body["data"]
        renamed = {"doctype": "Item", "old_name": "BOLT", "new_name": "BOLT-8"}
        self.assertEqual(self.ask("POST", f"{METHOD}rename_doc", renamed).body, {"message": "BOLT-8"})
        self.assertEqual(self.read(order)["items"][0]["item_code"], "BOLT-8")
        self.assertEqual(
            self.rows("Item", fields=["item_code"], filters={"name": "BOLT-8"})[0]["item_code"], "BOLT-8"
        )
        taken = {"doctype": "Item", "old_name": "BOLT-8", "new_name": "nut"}
        self.assertEqual(self.ask("POST", f"{METHOD}rename_doc", taken).error, (417, "ValidationError"))


class Stock(DocumentTests):
    def entry(self, kind: str, quantity: float, **warehouses: str) -> Got:
        row = {"item_code": "BOLT", "qty": quantity, "basic_rate": 2, **warehouses}
        return self.insert("Stock Entry", stock_entry_type=kind, company="Stand-in Works", items=[row], docstatus=1)

    def held(self) -> dict[str, float]:
        rows = self.rows("Bin", fields=["warehouse", "actual_qty"], filters={"item_code": "BOLT"})
        return {row["warehouse"]: row["actual_qty"] for row in rows}

    def test_entries_bring_move_and_take_stock(self) -> None:
        """What is not there cannot be taken: 417, and nothing is submitted."""
        self.entry("Material Receipt", 10, t_warehouse="Stores - SW")
        moved = self.entry("Material Transfer", 4, s_warehouse="Stores - SW", t_warehouse="Finished Goods - SW")
        self.assertEqual(self.held(), {"Stores - SW": 6.0, "Finished Goods - SW": 4.0})
        refused = self.entry("Material Issue", 5, s_warehouse="Finished Goods - SW")
        self.assertEqual(refused.error, (417, "NegativeStockError"))
        self.assertEqual(len(self.rows("Stock Entry")), 2)
        self.put(moved.body["data"], docstatus=2)
        self.assertEqual(self.held(), {"Stores - SW": 10.0, "Finished Goods - SW": 0.0})

    def test_an_entry_needs_the_warehouses_of_its_purpose(self) -> None:
        """The message names the row."""
        refused = self.entry("Material Issue", 1, t_warehouse="Stores - SW")
        self.assertEqual(refused.error, (417, "ValidationError"))
        self.assertIn("Source warehouse is mandatory for row 1", refused.body["exception"])


class Methods(DocumentTests):
    def test_bulk_update_wants_text_and_names_what_failed(self) -> None:
        """The others are changed: it is no transaction of all."""
        names = [self.insert("ToDo", description="x").body["data"]["name"] for _ in range(2)]
        docs = [{"doctype": "ToDo", "docname": name, "status": "Closed"} for name in (names[0], "none", names[1])]
        self.assertEqual(self.ask("POST", f"{METHOD}bulk_update", {"docs": docs}).error, (500, "TypeError"))
        done = self.ask("POST", f"{METHOD}bulk_update", {"docs": json.dumps(docs)})
        [failed] = done.body["message"]["failed_docs"]
        self.assertEqual((done.status, failed["doc"]["docname"]), (200, "none"))
        self.assertEqual(self.rows("ToDo", fields=["status"]), [{"status": "Closed"}] * 2)

    def test_single_values_are_read_by_name_and_by_filter(self) -> None:
        """An object, an array with as_dict=0, or nothing."""
        asked = {"doctype": "Item", "fieldname": ["name", "stock_uom"], "filters": {"item_code": "NUT"}}
        self.assertEqual(
            self.ask("POST", f"{METHOD}get_value", asked).body, {"message": {"name": "NUT", "stock_uom": "Nos"}}
        )
        one = {"doctype": "Item", "fieldname": "stock_uom", "filters": "NUT"}
        self.assertEqual(self.ask("POST", f"{METHOD}get_value", one).body, {"message": {"stock_uom": "Nos"}})
        none = {**one, "filters": "none"}
        self.assertEqual(self.ask("POST", f"{METHOD}get_value", none).body, {"message": {}})

    def test_a_device_checks_in_by_what_it_knows_of_the_employee(self) -> None:
        """HRMS's own function; an unknown badge is 417."""
        self.seed(1)
        path = "/api/method/hrms.hr.doctype.employee_checkin.employee_checkin.add_log_based_on_employee_field"
        log = {"employee_field_value": "00001", "timestamp": "2026-01-02 08:00:00", "log_type": "IN"}
        self.assertEqual(self.ask("POST", path, log).body["message"]["employee"], "HR-EMP-00001")
        self.assertEqual(
            self.ask("POST", path, {**log, "employee_field_value": "9"}).error, (417, "ValidationError")
        )

    def test_a_copy_has_what_may_be_copied(self) -> None:
        """No name, no state, no series; rows as well."""
        order = self.order(docstatus=1).body["data"]
        copied = self.ask("GET", f"/api/v2/document/Sales%20Order/{order['name']}/copy").body["data"]
        self.assertEqual((copied["customer"], copied["docstatus"]), ("Müller", 0))
        self.assertNotIn("name", copied)
        self.assertEqual([row["qty"] for row in copied["items"]], [2.0])


class Text(DocumentTests):
    def test_html_in_text_is_made_harmless(self) -> None:
        """Also in child rows and in an update; addresses of webhooks stay."""
        todo = self.insert("ToDo", description="<b>x</b><script>1</script>").body["data"]
        self.assertEqual(todo["description"], "<b>x</b>&lt;script&gt;1&lt;/script&gt;")
        changed = self.put(todo, description="5 < 6 & 7").body["data"]
        self.assertEqual(changed["description"], "5 < 6 & 7")
        order = self.order({"item_code": "BOLT", "qty": 1, "item_name": "<i onclick=1>x</i>"}).body["data"]
        self.assertNotIn("onclick", json.dumps(order))
