"""Permission levels of the stand-in: what a user may not write is put back in silence, as Frappe does it."""

from __future__ import annotations

from typing import Any

from tests.rig.standin_site import SiteTests
from twisted.web.server import Site

from lineside.standin.authentication import Credentials
from lineside.standin.site import make_site
from lineside.standin.users import seed_user

GATEWAY = "gateway@example.com"
SCANNED = "2026-03-02 06:58:30"
ROLES = f"/api/method/frappe.core.doctype.user.user.get_roles?uid={GATEWAY}"


class Levels(SiteTests):
    """Someone with few rights beside the Administrator."""

    gateway: Site

    def setUp(self) -> None:
        super().setUp()
        self.seed(1)
        self.gateway = make_site(
            self.clock, self.documents, self.faults, Credentials("key", "secret", GATEWAY), settings=self.settings
        )
        self.become("Employee")

    def become(self, *roles: str) -> None:
        self.successResultOf(self.documents.write(lambda records: seed_user(records, GATEWAY, roles)))

    def check_in(self, time: str = SCANNED) -> dict[str, Any]:
        got = self.insert("Employee Checkin", employee="HR-EMP-00001", time=time, log_type="IN")
        self.assertEqual(got.status, 200, got.body)
        document: dict[str, Any] = got.body["data"]
        return document

    def test_a_new_document_has_the_default_instead_of_what_was_sent(self) -> None:
        """HRMS keeps the time of a check-in at level 1: an Employee gets Now for the time he scanned, and a 200."""
        self.site = self.gateway
        self.assertEqual(self.check_in()["time"], self.now.isoformat(" ", "microseconds"))
        self.become("HR User")
        self.assertEqual(self.check_in()["time"], SCANNED)

    def test_a_change_keeps_what_was_there(self) -> None:
        """The other fields of the same request are changed."""
        name = self.check_in()["name"]
        self.site = self.gateway
        path = f"/api/resource/Employee%20Checkin/{name}"
        changed = self.ask("PUT", path, {"time": "2026-03-02 07:00:00", "device_id": "gate"}).body["data"]
        self.assertEqual((changed["time"], changed["device_id"]), (SCANNED, "gate"))
        self.become("HR Manager")
        changed = self.ask("PUT", path, {"time": "2026-03-02 07:00:00"}).body["data"]
        self.assertEqual(changed["time"], "2026-03-02 07:00:00")

    def test_many_at_once_are_held_to_the_same(self) -> None:
        """The answer holds names alone."""
        self.site = self.gateway
        document = {"doctype": "Employee Checkin", "employee": "HR-EMP-00001", "time": SCANNED}
        got = self.ask("POST", "/api/method/frappe.client.insert_many", {"docs": [document]})
        self.assertEqual(len(got.body["message"]), 1)
        [row] = self.rows("Employee Checkin", fields=["time"])
        self.assertEqual(row["time"], self.now.isoformat(" ", "microseconds"))

    def test_administrator_writes_everything(self) -> None:
        """Without a role that says so."""
        self.assertEqual(self.check_in()["time"], SCANNED)

    def test_a_custom_field_of_a_level_is_held_to_it_too(self) -> None:
        """Nobody has a permission at a level for which there is no rule."""
        self.insert("Custom Field", dt="ToDo", label="Cost", fieldname="cost", fieldtype="Float", permlevel=2)
        self.assertEqual(self.insert("ToDo", description="x", cost=5).body["data"]["cost"], 5.0)
        self.site = self.gateway
        self.assertEqual(self.insert("ToDo", description="x", cost=5).body["data"]["cost"], 0.0)

    def test_who_may_write_what_is_told_to_everyone(self) -> None:
        """The DocType tells its levels and their roles, and a method a user's roles, with those that all have."""
        self.site = self.gateway
        meta = self.ask("GET", "/api/v2/doctype/Employee%20Checkin/meta").body["data"]
        [time] = [field for field in meta["fields"] if field["fieldname"] == "time"]
        self.assertEqual(time["permlevel"], 1)
        writers = {rule["role"] for rule in meta["permissions"] if rule["permlevel"] == 1 and rule["write"]}
        self.assertEqual(writers, {"System Manager", "HR Manager", "HR User"})
        self.assertEqual(self.ask("GET", ROLES).body["message"], ["All", "Employee", "Guest"])

    def test_roles_are_rows_of_the_user(self) -> None:
        """Whoever administers the site gives and takes them as in Frappe."""
        self.ask("PUT", f"/api/resource/User/{GATEWAY}", {"roles": [{"role": "HR User"}, {"role": "Employee"}]})
        self.assertEqual(self.ask("GET", ROLES).body["message"], ["All", "Employee", "Guest", "HR User"])
