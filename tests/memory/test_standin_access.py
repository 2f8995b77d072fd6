"""Who may come in, and when: log-ins, sessions, CSRF, maintenance, rates, site names, files."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.rig.standin_site import KEY, Got, SiteTests
from treq.testing import StubTreq

from lineside.standin.sessions import LOCK_SECONDS, MAX_FAILURES
from lineside.standin.settings import SESSION_EXPIRY

WHO = "/api/method/frappe.auth.get_logged_user"
TODO = "/api/resource/ToDo"


class AccessTests(SiteTests):
    def setUp(self) -> None:
        super().setUp()
        self.insert("User", email="ann@example.com", first_name="Ann", last_name="Lee", new_password="right")

    def log_in(self, user: str = "ann@example.com", password: str = "right") -> Got:
        return self.ask("POST", "/api/method/login", {"usr": user, "pwd": password}, auth=None)

    def sid(self) -> str:
        cookies = self.log_in().headers.getRawHeaders("Set-Cookie")
        [sid] = [cookie for cookie in cookies if cookie.startswith("sid=")]
        return str(sid).partition(";")[0]

    def by_cookie(self, verb: str, path: str, document: object = None, *, cookie: str, **more: str) -> Got:
        return self.ask(verb, path, document, auth=more.pop("key", None), more={"Cookie": cookie, **more})

    def csrf_token(self, cookie: str) -> str:
        page = self.by_cookie("GET", "/app", cookie=cookie)
        found = re.search(r'csrf_token = "(\w+)"', page.body)
        assert found is not None
        return found[1]


class LogIns(AccessTests):
    def test_a_password_opens_a_session(self) -> None:
        """Its cookie says who asks; documents are the user's own."""
        done = self.log_in()
        self.assertEqual(done.body, {"home_page": "/app", "full_name": "Ann Lee", "message": "Logged In"})
        names = [cookie.partition("=")[0] for cookie in done.headers.getRawHeaders("Set-Cookie")]
        self.assertEqual(names, ["sid", "system_user", "full_name", "user_id", "user_image"])
        cookie = self.sid()
        self.assertEqual(self.by_cookie("GET", WHO, cookie=cookie).body, {"message": "ann@example.com"})
        made = self.by_cookie("POST", TODO, {"description": "x"}, cookie=cookie)
        self.assertEqual(made.body["data"]["owner"], "ann@example.com")

    def test_the_password_is_nowhere_to_be_read(self) -> None:
        """A user's document has none."""
        user = self.ask("GET", "/api/resource/User/ann@example.com").body["data"]
        self.assertNotIn("new_password", user)
        self.assertNotIn("right", json.dumps(user))

    def test_a_disabled_user_and_one_without_a_password_stay_outside(self) -> None:
        """401, as for a wrong one."""
        self.assertEqual(self.log_in("Administrator", "").status, 401)
        self.assertEqual(self.log_in("nobody@example.com", "right").status, 401)
        self.ask("PUT", "/api/resource/User/ann@example.com", {"enabled": 0})
        self.assertEqual(self.log_in().status, 401)

    def test_ten_wrong_passwords_lock_the_user_for_a_minute(self) -> None:
        """Also the right one is 500 then; the API key still works."""
        for _ in range(MAX_FAILURES):
            self.assertEqual(self.log_in(password="wrong").error, (401, "AuthenticationError"))
        self.assertEqual(self.log_in().error, (500, "SecurityException"))
        self.assertEqual(self.ask("GET", WHO).status, 200)
        self.clock.advance(LOCK_SECONDS + 1)
        self.assertEqual(self.log_in().status, 200)

    def test_a_session_ends_with_the_log_out_and_with_time(self) -> None:
        """After that its cookie is a guest's, and says so."""
        cookie = self.sid()
        self.by_cookie("POST", "/api/method/logout", {}, cookie=cookie)
        ended = self.by_cookie("GET", TODO, cookie=cookie)
        self.assertEqual((ended.error, ended.body["session_expired"]), ((403, "PermissionError"), 1))
        cookie = self.sid()
        self.clock.advance(SESSION_EXPIRY)
        self.assertEqual(self.by_cookie("GET", TODO, cookie=cookie).status, 200)
        self.clock.advance(SESSION_EXPIRY + 1)
        self.assertEqual(self.by_cookie("GET", TODO, cookie=cookie).status, 403)

    def test_once_a_session_has_a_token_every_change_must_carry_it(self) -> None:
        """The Desk makes it; in a header or in the body; reads need none."""
        cookie = self.sid()
        token = self.csrf_token(cookie)
        self.assertEqual(self.by_cookie("POST", TODO, {"description": "x"}, cookie=cookie).status, 400)
        self.assertEqual(self.by_cookie("GET", TODO, cookie=cookie).status, 200)
        header = {"X-Frappe-CSRF-Token": token}
        self.assertEqual(self.by_cookie("POST", TODO, {"description": "x"}, cookie=cookie, **header).status, 200)
        inside = {"description": "x", "csrf_token": token}
        self.assertEqual(self.by_cookie("POST", TODO, inside, cookie=cookie).status, 200)

    def test_a_cookie_wins_over_a_key_unless_it_is_dead(self) -> None:
        """A gateway that sends both is the person, and needs the token."""
        cookie = self.sid()
        self.assertEqual(self.by_cookie("GET", WHO, cookie=cookie, key=KEY).body["message"], "ann@example.com")
        self.csrf_token(cookie)
        self.assertEqual(self.by_cookie("POST", TODO, {"description": "x"}, cookie=cookie, key=KEY).status, 400)
        dead = self.by_cookie("GET", WHO, cookie="sid=dead", key=KEY)
        self.assertEqual(dead.body, {"session_expired": 1, "message": "Administrator"})

    def test_answers_to_keys_hold_the_cookies_of_a_guest(self) -> None:
        """And those to a wrong key clear them."""
        [sid, *_] = self.ask("GET", WHO).headers.getRawHeaders("Set-Cookie")
        self.assertTrue(sid.startswith("sid=Guest;"))
        [sid, *_] = self.ask("GET", WHO, auth="token a:b").headers.getRawHeaders("Set-Cookie")
        self.assertIn("Max-Age=0", sid)


class Operation(AccessTests):
    def turn(self, **settings: object) -> Got:
        return self.ask("POST", "/_standin/settings", settings)

    def test_settings_are_shown_and_turned_one_by_one(self) -> None:
        """Nonsense is told in one line."""
        self.assertEqual(self.turn(site="a").body["site"], "a")
        self.assertEqual(self.turn(rate_limit=1).body["site"], "a")
        for wrong in ({"rate_limit": -1}, {"rate_window": 0}, {"nope": 1}):
            got = self.turn(**wrong)
            self.assertEqual((got.status, list(got.body)), (400, ["error"]))
        self.assertEqual(self.ask("GET", "/_standin/settings").body["rate_limit"], 1)
        self.assertEqual(self.ask("GET", "/_standin/settings", auth=None).status, 403)

    def test_maintenance_stops_all_or_only_changes(self) -> None:
        """503 without Retry-After; a read by POST is a read."""
        self.turn(maintenance_mode=True)
        for verb in ("GET", "POST"):
            stopped = self.ask(verb, TODO, {"description": "x"} if verb == "POST" else None)
            self.assertEqual(stopped.error, (503, "SessionStopped"))
        self.assertFalse(stopped.headers.hasHeader("Retry-After"))
        self.turn(allow_reads_during_maintenance=True)
        self.assertEqual(self.ask("POST", TODO, {"description": "x"}).error, (503, "InReadOnlyMode"))
        self.assertEqual(self.ask("POST", "/api/method/frappe.client.get_list", {"doctype": "ToDo"}).status, 200)
        self.turn(maintenance_mode=False)
        self.assertEqual(self.rows("ToDo"), [])

    def test_a_site_that_was_spent_refuses_until_the_next_window(self) -> None:
        """Time of work counts, for all together; headers say how much is left."""
        self.turn(rate_limit=0.5, rate_window=10)
        self.faults.turn({"service_time": 0.4})
        self.assertEqual(self.work(0.4), (200, ["500000"], ["400000"]))
        self.assertEqual(self.work(0.4), (200, ["100000"], ["400000"]))
        got = self.ask("POST", TODO, {"description": "x"})
        self.assertEqual(got.error, (429, "TooManyRequestsError"))
        self.assertEqual(got.headers.getRawHeaders("Retry-After"), ["10"])
        self.assertEqual(self.ask("GET", WHO, more={"Accept": "text/html"}).body, "Too Many Requests")
        self.clock.advance(10)
        self.assertEqual(self.work(0.4)[0], 200)

    def work(self, seconds: float) -> tuple[int, Any, Any]:
        client: Any = StubTreq(self.site.resource)
        pending = client.get("http://erp.example/api/method/ping")
        client.flush()
        self.clock.advance(seconds)
        client.flush()
        response = self.successResultOf(pending)
        told = response.headers.getRawHeaders
        return response.code, told("X-RateLimit-Remaining"), told("X-RateLimit-Used")

    def test_another_site_is_not_there(self) -> None:
        """A page with 404; the header counts before the host."""
        self.turn(site="plant.example")
        for headers in ({"X-Frappe-Site-Name": "other"}, {"X-Frappe-Site-Name": ""}):
            missing = self.ask("GET", WHO, more=headers)
            self.assertEqual((missing.status, missing.content_type), (404, "text/html; charset=utf-8"))
        self.assertEqual(self.ask("GET", WHO, more={"X-Frappe-Site-Name": "Plant.Example"}).status, 200)
        self.turn(site="erp.example")
        self.assertEqual(self.ask("GET", WHO, more={"X-Frappe-Site-Name": ""}).status, 200)

    def test_without_tracebacks_only_the_class_is_told(self) -> None:
        """In both versions."""
        self.turn(allow_error_traceback=False)
        self.assertEqual(self.ask("GET", "/api/resource/Nope").body, {"exc_type": "ImportError"})
        self.assertEqual(self.ask("GET", "/api/v2/document/Nope").body, {"errors": [{"type": "ImportError"}]})


class Files(AccessTests):
    def upload(self, content: bytes, name: str = "plan.txt", *, auth: str | None = KEY, **fields: str) -> Got:
        parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
        parts.append(f'name="file"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'.encode() + content)
        body = b"".join(b"--cut\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
        kind = {"Content-Type": "multipart/form-data; boundary=cut"}
        return self.ask("POST", "/api/method/upload_file", auth=auth, body=body + b"--cut--\r\n", more=kind)

    def test_a_file_is_kept_with_its_document_and_can_be_fetched(self) -> None:
        """Byte by byte; attached where the form says."""
        content = bytes(range(256)) + b"\r\n--cu"
        made = self.upload(content, doctype="ToDo", docname="x1").body["message"]
        self.assertEqual((made["file_url"], made["file_size"]), ("/files/plan.txt", len(content)))
        self.assertEqual((made["attached_to_doctype"], made["attached_to_name"]), ("ToDo", "x1"))
        self.assertEqual(self.fetch(made["file_url"], None), (200, content))

    def test_a_private_file_is_for_users(self) -> None:
        """403 for guests."""
        url = self.upload(b"secret", is_private="1").body["message"]["file_url"]
        self.assertEqual(url, "/private/files/plan.txt")
        self.assertEqual(self.fetch(url, None)[0], 403)
        self.assertEqual(self.fetch(url, KEY), (200, b"secret"))

    def test_a_name_that_is_taken_by_other_content_is_changed(self) -> None:
        """The same content keeps its address."""
        first, other, again = (self.upload(each).body["message"]["file_url"] for each in (b"a", b"b", b"a"))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(self.fetch(other, None), (200, b"b"))

    def test_guests_and_no_file_are_refused(self) -> None:
        """403, 417, and no document."""
        self.assertEqual(self.upload(b"x", auth=None).error, (403, "PermissionError"))
        self.assertEqual(self.ask("POST", "/api/method/upload_file", {}).error, (417, "ValidationError"))
        self.assertEqual(self.rows("File"), [])

    def test_an_address_elsewhere_is_kept_as_it_is(self) -> None:
        """Without any content."""
        got = self.ask("POST", "/api/method/upload_file", {"file_url": "https://files.example/a/b.pdf"})
        self.assertEqual(got.body["message"]["file_name"], "b.pdf")

    def fetch(self, url: str, auth: str | None) -> tuple[int, bytes]:
        client: Any = StubTreq(self.site.resource)
        headers = {} if auth is None else {"Authorization": auth}
        pending = client.get(f"http://erp.example{url}", headers=headers)
        client.flush()
        response = self.successResultOf(pending)
        return response.code, self.successResultOf(response.content())
