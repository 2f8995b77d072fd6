"""The stand-in through its site, without a socket: what a client of Frappe would see."""

from __future__ import annotations

import json
from urllib.parse import quote

from tests.rig.standin_site import Got, SiteTests

STANDARD = ["name", "owner", "creation", "modified", "modified_by", "docstatus", "idx"]
ID = "0123456789abcdef0123456789abcdef"


class Access(SiteTests):
    def test_the_key_is_asked_for_and_held(self) -> None:
        """401 for a wrong one, 403 for none; the guest may ping and ask for the time zone."""
        for path in ("/api/resource/ToDo", "/api/method/frappe.auth.get_logged_user"):
            self.assertEqual(self.ask("GET", path).status, 200)
            self.assertEqual(self.ask("GET", path, auth="token key:wrong").error, (401, "AuthenticationError"))
            self.assertEqual(self.ask("GET", path, auth=None).error, (403, "PermissionError"))
        self.assertEqual(self.ask("GET", "/api/method/ping", auth=None).body, {"message": "pong"})
        self.assertEqual(
            self.ask("GET", "/api/method/frappe.client.get_time_zone", auth=None).body,
            {"message": {"time_zone": "Europe/Berlin"}},
        )

    def test_a_guest_changes_nothing(self) -> None:
        """403, and no document."""
        self.assertEqual(self.ask("POST", "/api/resource/ToDo", {"description": "x"}, auth=None).status, 403)
        self.assertEqual(self.rows("ToDo"), [])

    def test_both_versions_tell_errors_in_their_own_envelope(self) -> None:
        """`exc_type` in version 1, `errors` in version 2."""
        self.assertEqual(self.ask("GET", "/api/resource/Nope").error, (500, "ImportError"))
        self.assertEqual(self.ask("GET", "/api/v1/resource/Nope").error, (500, "ImportError"))
        second = self.ask("GET", "/api/v2/document/Nope")
        self.assertEqual((second.status, second.body["errors"][0]["type"]), (500, "ImportError"))


class Lives(SiteTests):
    def test_a_document_is_made_read_changed_and_deleted(self) -> None:
        """200, 200, 200, 202, then 404: as measured."""
        made = self.insert("ToDo", description="x", nope_field=1)
        self.assertEqual((made.status, made.content_type), (200, "application/json"))
        self.assertEqual(
            list(made.body["data"]),
            [*STANDARD, "status", "priority", "date", "description", "doctype"],
        )
        path = f"/api/resource/ToDo/{made.body['data']['name']}"
        self.assertEqual(self.ask("GET", path).body, made.body)
        changed = self.ask("PUT", path, {"priority": "High"}).body["data"]
        self.assertEqual((changed["priority"], changed["description"]), ("High", "x"))
        self.assertGreater(changed["modified"], made.body["data"]["modified"])
        self.assertEqual(self.ask("DELETE", path).body, {"data": "ok"})
        self.assertEqual(self.ask("DELETE", path).error, (404, "DoesNotExistError"))
        self.assertEqual(self.ask("GET", path).error, (404, "DoesNotExistError"))

    def test_creation_is_the_time_of_the_insert_with_microseconds(self) -> None:
        """In the site's own zone, naive."""
        self.assertEqual(self.insert("ToDo", description="x").body["data"]["creation"], f"{self.now}")

    def test_what_frappe_refuses_is_refused_alike(self) -> None:
        """Status and class of each refusal, and nothing stored."""
        refusals = {
            (417, "MandatoryError"): {"priority": "Low"},
            (417, "LinkValidationError"): {"description": "x", "allocated_to": "nobody@example.com"},
            (417, "ValidationError"): {"description": "x", "status": "Perhaps"},
            (500, "OperationalError"): {"description": "x", "date": "nope"},
        }
        for expected, document in refusals.items():
            self.assertEqual(self.ask("POST", "/api/resource/ToDo", document).error, expected)
        self.assertEqual(self.ask("POST", "/api/resource/ToDo", body=b"{bad").error, (500, "JSONDecodeError"))
        self.assertEqual(self.ask("POST", "/api/method/frappe.nope").error, (417, "ValidationError"))
        self.assertEqual(self.ask("GET", "/api/nope").error, (404, "DoesNotExistError"))
        self.assertEqual(self.ask("PATCH", "/api/resource/ToDo", {}).content_type, "text/html; charset=utf-8")
        self.assertEqual(self.rows("ToDo"), [])

    def test_a_change_that_did_not_see_the_last_one_is_refused(self) -> None:
        """`modified` in a PUT is optimistic locking."""
        made = self.insert("ToDo", description="x").body["data"]
        path = f"/api/resource/ToDo/{made['name']}"
        self.assertEqual(self.ask("PUT", path, {"status": "Closed", "modified": made["modified"]}).status, 200)
        again = self.ask("PUT", path, {"status": "Open", "modified": made["modified"]})
        self.assertEqual(again.error, (417, "TimestampMismatchError"))

    def test_a_name_with_every_sign_is_found_by_its_quoted_path(self) -> None:
        """A slash in a name is no further segment."""
        self.insert("Role", role_name="A/B&C?#1 ä")
        got = self.ask("GET", f"/api/resource/Role/{quote('A/B&C?#1 ä', safe='')}")
        self.assertEqual(got.body["data"]["name"], "A/B&C?#1 ä")


class Lists(SiteTests):
    def test_a_list_has_twenty_names_the_newest_first(self) -> None:
        """`limit_page_length=0` is all of them; `limit` and `limit_start` page."""
        names = [self.insert("ToDo", description=f"{n}").body["data"]["name"] for n in range(25)]
        newest = [{"name": name} for name in reversed(names)]
        self.assertEqual(self.rows("ToDo"), newest[:20])
        self.assertEqual(self.rows("ToDo", limit_page_length="0"), newest)
        self.assertEqual(self.rows("ToDo", limit="5", limit_start="3"), newest[3:8])
        self.assertEqual(self.rows("ToDo", order_by="creation asc", limit="2"), newest[:-3:-1])

    def test_columns_are_chosen_renamed_and_computed(self) -> None:
        """Null stays in a list's rows."""
        self.insert("ToDo", description="x", priority="High")
        self.insert("ToDo", description="y", priority="Low")
        self.insert("ToDo", description="z", priority="Low")
        self.assertEqual(
            self.rows("ToDo", fields=["description as what", "color"], limit="1"), [{"what": "z", "color": None}]
        )
        self.assertEqual(
            self.rows("ToDo", fields=["priority", "count(name) as n"], group_by="priority", order_by="n desc"),
            [{"priority": "Low", "n": 2}, {"priority": "High", "n": 1}],
        )
        self.assertIn("modified_by", self.rows("ToDo", fields=["*"])[0])
        self.assertEqual(self.ask("GET", "/api/resource/ToDo?fields=[%22nope%22]").error, (500, "OperationalError"))

    def test_filters_choose_rows(self) -> None:
        """Each operator, on text, numbers, times and nothing at all."""
        self.seed(2)
        for employee, day, place in (
            ("HR-EMP-00001", 1, "Gate"),
            ("HR-EMP-00001", 2, None),
            ("hr-emp-00002", 3, "X"),
        ):
            self.insert("Employee Checkin", employee=employee, time=f"2026-01-0{day} 08:00:00", device_id=place)

        def days(filters: object, **more: object) -> list[int]:
            rows = self.rows("Employee Checkin", filters=filters, fields=["time"], order_by="time asc", **more)
            return [int(row["time"][8:10]) for row in rows]

        self.assertEqual(days({"employee": "HR-EMP-00002 "}), [3])
        self.assertEqual(days({"employee": ["!=", "HR-EMP-00002"]}), [1, 2])
        self.assertEqual(days([["device_id", "in", ["gate", "x"]]]), [1, 3])
        self.assertEqual(days([["device_id", "not in", ["gate"]]]), [2, 3])
        self.assertEqual(days([["device_id", "is", "not set"]]), [2])
        self.assertEqual(days([["device_id", "like", "%at%"]]), [1])
        self.assertEqual(days([["device_id", "not like", "%at%"]]), [2, 3])
        self.assertEqual(days([["time", ">=", "2026-01-02T08:00:00"]]), [2, 3])
        self.assertEqual(days([["time", "between", ["2026-01-01", "2026-01-02"]]]), [1, 2])
        self.assertEqual(days([["skip_auto_attendance", "=", "0"], ["time", "<", "2026-01-02"]]), [1])
        self.assertEqual(days({}, or_filters=[["device_id", "=", "X"], ["device_id", "=", ""]]), [2, 3])

    def test_a_batch_is_looked_up_by_post(self) -> None:
        """Two hundred ids in a body; the list's own arguments, and no others, count."""
        self.add_id_field()
        ids = [f"{n:032x}" for n in range(200)]
        for each in ids[:30]:
            self.insert("ToDo", description="x", lineside_id=each)
        asked = {"doctype": "ToDo", "filters": [["lineside_id", "in", ids]], "fields": ["lineside_id"]}
        found = self.ask("POST", "/api/method/frappe.client.get_list", {**asked, "limit_page_length": 0})
        self.assertEqual({row["lineside_id"] for row in found.body["message"]}, set(ids[:30]))
        self.assertEqual(len(self.ask("POST", "/api/method/frappe.client.get_list", asked).body["message"]), 20)
        counted = self.ask("POST", "/api/method/frappe.client.get_count", asked)
        self.assertEqual(counted.body, {"message": 30})
        self.assertEqual(self.ask("GET", "/api/v2/doctype/ToDo/count").body, {"data": 30})


class Definitions(SiteTests):
    def test_a_custom_field_is_dropped_before_and_kept_after_it_is_there(self) -> None:
        """Adding it is one insert; documents from before have no value."""
        before = self.insert("ToDo", description="x", lineside_id=ID).body["data"]
        self.assertNotIn("lineside_id", before)
        self.assertEqual(self.add_id_field().body["data"]["name"], "ToDo-lineside_id")
        self.assertEqual(self.insert("ToDo", description="y", lineside_id=ID).body["data"]["lineside_id"], ID)
        self.assertEqual(
            self.rows("ToDo", fields=["description", "lineside_id"]),
            [{"description": "y", "lineside_id": ID}, {"description": "x", "lineside_id": None}],
        )
        self.assertEqual(self.add_id_field().error, (417, "ValidationError"))

    def test_a_unique_value_is_compared_without_case_and_spaces(self) -> None:
        """The second is 417, also in an update; documents without a value do not collide."""
        self.add_id_field()
        self.insert("ToDo", description="x", lineside_id="abc")
        for value in ("abc", "ABC", " abc "):
            refused = self.insert("ToDo", description="y", lineside_id=value)
            self.assertEqual(refused.error, (417, "UniqueValidationError"))
            self.assertIn("Lineside ID must be unique", refused.body["_server_messages"])
        other = self.insert("ToDo", description="z", lineside_id="").body["data"]["name"]
        self.assertEqual(self.insert("ToDo", description="z").status, 200)
        update = self.ask("PUT", f"/api/resource/ToDo/{other}", {"lineside_id": "Abc"})
        self.assertEqual(update.error, (417, "UniqueValidationError"))

    def test_a_field_cannot_become_unique_over_equal_values(self) -> None:
        """The whole change is undone: the field stays as it was."""
        self.insert("Custom Field", dt="ToDo", fieldname="ref", fieldtype="Data")
        self.insert("ToDo", description="x", ref="1")
        self.insert("ToDo", description="y", ref="1")
        path = "/api/resource/Custom%20Field/ToDo-ref"
        self.assertEqual(self.ask("PUT", path, {"unique": 1}).error, (417, "ValidationError"))
        self.assertEqual(self.ask("GET", path).body["data"]["unique"], 0)
        self.assertEqual(self.insert("ToDo", description="z", ref="1").status, 200)

    def test_a_custom_field_that_is_deleted_is_gone_from_documents(self) -> None:
        """And comes back with its values when it is added again."""
        self.add_id_field()
        name = self.insert("ToDo", description="x", lineside_id=ID).body["data"]["name"]
        self.ask("DELETE", "/api/resource/Custom%20Field/ToDo-lineside_id")
        self.assertNotIn("lineside_id", self.ask("GET", f"/api/resource/ToDo/{name}").body["data"])
        self.add_id_field()
        self.assertEqual(self.ask("GET", f"/api/resource/ToDo/{name}").body["data"]["lineside_id"], ID)

    def test_the_meta_shows_fields_with_the_custom_ones(self) -> None:
        """So that a gateway can tell whether its field is there, and unique."""
        self.add_id_field("Employee Checkin")
        meta = self.ask("GET", "/api/v2/doctype/Employee%20Checkin/meta").body["data"]
        fields = {field["fieldname"]: field for field in meta["fields"]}
        self.assertEqual((fields["lineside_id"]["unique"], fields["lineside_id"]["is_custom_field"]), (1, 1))
        self.assertEqual((fields["employee"]["reqd"], fields["employee"]["options"]), (1, "Employee"))

    def test_doctypes_are_documents_to_be_read_only(self) -> None:
        """They can be listed and read; adding one is adding a file."""
        self.assertIn({"name": "Employee Checkin"}, self.rows("DocType", limit="100"))
        read = self.ask("GET", "/api/resource/DocType/ToDo").body["data"]
        self.assertIn("description", {field["fieldname"] for field in read["fields"]})
        self.assertEqual(self.insert("DocType", name="Mine", module="Core").error, (403, "PermissionError"))


class Checkins(SiteTests):
    def check_in(self, **fields: object) -> Got:
        document = {"employee": "HR-EMP-00001", "time": "2026-01-02 08:00:00", "log_type": "IN", **fields}
        return self.insert("Employee Checkin", **document)

    def test_one_log_of_a_type_for_an_employee_at_a_time(self) -> None:
        """The second is 417; another time, type or employee is another log."""
        self.seed(2)
        self.assertEqual(self.check_in().status, 200)
        again = self.check_in(time="2026-01-02T08:00:00.000000", employee="hr-emp-00001")
        self.assertEqual(again.error, (417, "ValidationError"))
        self.assertIn("already has a log with the same timestamp", again.body["exception"])
        for other in ({"log_type": "OUT"}, {"time": "2026-01-02 08:00:01"}, {"employee": "HR-EMP-00002"}):
            self.assertEqual(self.check_in(**other).status, 200)

    def test_the_employee_must_exist_and_lends_its_name(self) -> None:
        """A link to nobody is refused; a fetched field is filled in."""
        self.assertEqual(self.check_in().error, (417, "LinkValidationError"))
        self.seed(1)
        self.assertEqual(self.check_in().body["data"]["employee_name"], "Employee 00001")

    def test_a_time_with_a_zone_is_an_operational_error(self) -> None:
        """500, and nothing stored."""
        self.seed(1)
        for time in ("2026-01-02T08:00:00Z", "2026-01-02 08:00:00+01:00"):
            self.assertEqual(self.check_in(time=time).error, (500, "OperationalError"))
        self.assertEqual(self.rows("Employee Checkin"), [])


class Methods(SiteTests):
    def test_insert_takes_a_document_as_object_or_text(self) -> None:
        """And returns it with its empty fields; GET may not insert."""
        document = {"doctype": "ToDo", "description": "x"}
        for doc in (document, json.dumps(document)):
            made = self.ask("POST", "/api/method/frappe.client.insert", {"doc": doc})
            self.assertIsNone(made.body["message"]["color"])
        self.assertEqual(len(self.rows("ToDo")), 2)
        self.assertEqual(self.ask("GET", "/api/method/frappe.client.insert").error, (403, "PermissionError"))

    def test_insert_many_makes_all_or_none(self) -> None:
        """Names in order; one bad document undoes the rest; 201 are too many."""
        good = [{"doctype": "ToDo", "description": f"{n}"} for n in range(3)]
        names = self.ask("POST", "/api/method/frappe.client.insert_many", {"docs": good}).body["message"]
        self.assertEqual(self.rows("ToDo", order_by="creation asc"), [{"name": name} for name in names])
        bad = [*good, {"doctype": "ToDo"}]
        refused = self.ask("POST", "/api/method/frappe.client.insert_many", {"docs": bad})
        self.assertEqual(refused.error, (417, "MandatoryError"))
        many = self.ask("POST", "/api/method/frappe.client.insert_many", {"docs": good * 67})
        self.assertEqual(many.error, (417, "ValidationError"))
        self.assertEqual(len(self.rows("ToDo")), 3)

    def test_single_documents_are_read_changed_and_deleted_by_method(self) -> None:
        """get, set_value, delete; arguments nobody knows are dropped."""
        name = self.insert("ToDo", description="x").body["data"]["name"]
        of = {"doctype": "ToDo", "name": name, "nobody_knows": 1}
        self.assertEqual(self.ask("POST", "/api/method/frappe.client.get", of).body["message"]["description"], "x")
        self.ask("POST", "/api/method/frappe.client.set_value", {**of, "fieldname": "status", "value": "Closed"})
        self.assertEqual(self.rows("ToDo", fields=["status"]), [{"status": "Closed"}])
        self.assertEqual(self.ask("POST", "/api/method/frappe.client.delete", of).body, {})
        self.assertEqual(self.rows("ToDo"), [])
        self.assertEqual(self.ask("POST", "/api/method/frappe.client.get", {}).error, (500, "TypeError"))
