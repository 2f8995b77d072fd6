"""People log in with their account in the ERP: a whole gateway and a stand-in, on sockets."""

from __future__ import annotations

import json
import tempfile
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.lifecycle import System
from lineside.edges.frappe.client import FrappeClient
from lineside.operations.requests import ListAudit, ListSessions, RevokeSession
from lineside.security.identity import LOCAL_USER
from lineside.standin.authentication import Credentials
from lineside.standin.faults import FaultKnobs
from lineside.standin.server import Service, StandinServer

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "{url}"
api_key = {{ env = "KEY" }}
api_secret = {{ env = "SECRET" }}

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.checkin]
doctype = "Employee Checkin"
document = {{ employee = "{{{{ employee }}}}" }}

[http]
listen = "tcp:0:interface=127.0.0.1"
[http.login]
idle = "20m"
[http.login.roles]
viewer = ["Stock User"]
operator = ["Stock Manager"]
admin = ["System Manager"]

[live]
"""
SECRET = "right horse"
CSRF = "X-Lineside-CSRF"


class Browser:
    """Keeps a cookie, and the second text of its page."""

    def __init__(self, reactor: Any, address: str) -> None:
        self._agent = Agent(reactor)
        self.address = address
        self.cookie: str | None = None
        self.csrf: str | None = None
        self.set_cookie = ""

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Return what is answered; ``headers`` have underscores for hyphens."""
        sent = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        if self.cookie is not None:
            sent.setRawHeaders("Cookie", [f"sid=Guest; {self.cookie}"])
        if self.csrf is not None and not sent.hasHeader(CSRF):
            sent.setRawHeaders(CSRF, [self.csrf])
        producer = None
        if body is not None:
            sent.setRawHeaders("Content-Type", ["application/json"])
            producer = FileBodyProducer(BytesIO(json.dumps(body).encode()))
        answer = await self._agent.request(method.encode(), f"http://{self.address}{path}".encode(), sent, producer)
        self.set_cookie = (answer.headers.getRawHeaders("set-cookie") or [""])[-1]
        if self.set_cookie:
            value = self.set_cookie.partition(";")[0]
            self.cookie = None if value.endswith("=") else value
        self.headers = answer.headers
        told = json.loads(await treq.content(answer) or b"{}")
        if "csrf" in told:
            self.csrf = told["csrf"]
        return answer.code, told

    async def log_in(self, user: str, password: str = SECRET, **headers: str) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", "/api/v1/session", {"user": user, "password": password}, **headers)


class LoggingIn(TestCase):
    """Three people in the ERP, and one without a role that counts."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        # A control socket's path must be short.
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = Path(held.name)
        self.erp = StandinServer(
            reactor, Service(self.directory / "erp.db", Credentials("key", "secret")), FaultKnobs(Random(1))
        )
        await self.erp.start()
        self.erp_runs = True
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_erp()))
        self.client = FrappeClient(reactor, self.erp.url, "key", "secret")
        self.addCleanup(lambda: Deferred.fromCoroutine(self.client.close()))
        for name, role in (
            ("vera", "Stock User"),
            ("otto", "Stock Manager"),
            ("adam", "System Manager"),
            ("nora", "Employee"),
        ):
            await self.put("Role", role_name=role)
            await self.put("User", email=f"{name}@plant.example", first_name=name.title(), new_password=SECRET)
            await self.give(name, role)
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION.format(url=self.erp.url))
        self.settings = load(path, {"KEY": "key", "SECRET": "secret"})
        await self.start_gateway()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.system.stop()))

    async def start_gateway(self) -> None:
        self.gateway = Gateway(self.reactor, self.settings)
        self.system = System(self.gateway.stages)
        await self.system.start()
        assert self.gateway.http is not None
        self.address = self.gateway.http.part.address

    async def stop_erp(self) -> None:
        if self.erp_runs:
            self.erp_runs = False
            await self.erp.stop()

    async def put(self, doctype: str, **document: Any) -> None:
        reply = await self.client.request("POST", f"/api/resource/{doctype}", body=json.dumps(document).encode())
        self.assertIn(reply.status, {200, 409}, reply.body)

    async def give(self, name: str, *roles: str) -> None:
        body = json.dumps({"roles": [{"role": role} for role in roles]}).encode()
        reply = await self.client.request("PUT", f"/api/resource/User/{name}@plant.example", body=body)
        self.assertEqual(reply.status, 200, reply.body)

    def browser(self) -> Browser:
        return Browser(self.reactor, self.address)

    async def test_each_may_what_their_roles_in_the_erp_allow(self) -> None:
        """A viewer looks, an operator operates, an admin sees who is logged in; and somebody else is not let in."""
        for name, role, pause, sessions in (
            ("vera", "viewer", 403, 403),
            ("otto", "operator", 200, 403),
            ("adam", "admin", 200, 200),
        ):
            browser = self.browser()
            status, told = await browser.log_in(f"{name}@plant.example")
            self.assertEqual((status, told["who"]["role"]), (200, role))
            self.assertEqual(told["who"]["full_name"], name.title())
            self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 200)
            self.assertEqual((await browser.ask("POST", "/api/v1/sources/gate/pause"))[0], pause)
            self.assertEqual((await browser.ask("GET", "/api/v1/sessions"))[0], sessions)
        status, told = await self.browser().log_in("nora@plant.example")
        self.assertEqual(status, 403)
        self.assertIn("no role", told["detail"])

    async def test_nobody_looks_without_a_log_in(self) -> None:
        """Not even at this machine, where anybody may look as long as nobody can say who they are."""
        browser = self.browser()
        self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 401)
        status, told = await browser.ask("GET", "/api/v1/session")
        self.assertEqual((status, told["who"]), (200, None))
        self.assertEqual(told["login"], self.erp.url.removeprefix("http://"))

    async def test_a_wrong_password_tells_nothing_and_then_takes_time(self) -> None:
        """An unknown name reads the same; after a few the next try has to wait, and the ERP is not asked."""
        browser = self.browser()
        wrong = await browser.log_in("vera@plant.example", "wrong")
        unknown = await browser.log_in("nobody@plant.example", "wrong")
        self.assertEqual(wrong, unknown)
        self.assertEqual(wrong[0], 401)
        self.assertEqual(browser.set_cookie, "")
        for _ in range(2):
            await browser.log_in("vera@plant.example", "wrong")
        status, _ = await browser.log_in("vera@plant.example")
        self.assertEqual(status, 429)
        self.assertEqual(browser.headers.getRawHeaders("retry-after"), ["1"])
        self.assertEqual((await browser.log_in("otto@plant.example"))[0], 200)

    async def test_a_cookie_alone_changes_nothing(self) -> None:
        """Request forgery: without the page's second text, with another's, or from another site's page."""
        browser, other = self.browser(), self.browser()
        await browser.log_in("otto@plant.example")
        await other.log_in("adam@plant.example")
        right, browser.csrf = browser.csrf, None
        assert right is not None
        assert other.csrf is not None
        path = "/api/v1/sources/gate/pause"
        for headers in (
            {},
            {CSRF: other.csrf},
            {CSRF: right, "Origin": "http://evil.example"},
            {CSRF: right, "Sec_Fetch_Site": "cross-site"},
        ):
            self.assertEqual((await browser.ask("POST", path, **headers))[0], 401, headers)
            self.assertEqual((await browser.ask("DELETE", "/api/v1/session", **headers))[0], 401, headers)
        origin = f"http://{self.address}"
        self.assertEqual((await browser.ask("POST", path, **{CSRF: right, "Origin": origin}))[0], 200)

    async def test_a_cookie_beside_the_own_one(self) -> None:
        """One that a neighbour planted is not worked with, nor is the own one any more; nor is a huge one."""
        browser, attacker = self.browser(), self.browser()
        await browser.log_in("otto@plant.example")
        await attacker.log_in("vera@plant.example")
        own = browser.cookie
        for tricky in (f"{attacker.cookie}; {own}", f"{own}; {attacker.cookie}", f"{own}; lineside=", f"{own}0"):
            browser.cookie = tricky
            self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 401, tricky)
            self.assertEqual((await browser.ask("POST", "/api/v1/sources/gate/pause"))[0], 401, tricky)
        browser.cookie = f"{own}; " + "x=y; " * 3_000
        self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 200)
        browser.cookie = f"{own}; {own}"
        self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 200)

    async def test_nobody_is_logged_in_by_another_sites_page(self) -> None:
        """It would have them work in somebody else's account."""
        for headers in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            status, _ = await self.browser().log_in("vera@plant.example", **headers)
            self.assertEqual(status, 403)

    async def test_a_planted_session_is_not_gone_on_with(self) -> None:
        """Session fixation: who logs in gets a new one, and the old one is worth nothing."""
        browser, attacker = self.browser(), self.browser()
        await attacker.log_in("vera@plant.example")
        planted = attacker.cookie
        browser.cookie = planted
        await browser.log_in("otto@plant.example")
        self.assertNotEqual(browser.cookie, planted)
        self.assertEqual((await attacker.ask("GET", "/api/v1/status"))[0], 401)

    async def test_it_ends_by_log_out_by_revoking_and_by_itself(self) -> None:
        """A stolen cookie is worth nothing from then on, on the disk either."""
        for name, end in (("vera", self.log_out), ("otto", self.revoke), ("adam", self.wait)):
            browser, thief = self.browser(), self.browser()
            await browser.log_in(f"{name}@plant.example")
            thief.cookie = browser.cookie
            self.assertEqual((await thief.ask("GET", "/api/v1/status"))[0], 200)
            await end(browser, name)
            self.assertEqual((await thief.ask("GET", "/api/v1/status"))[0], 401, name)
        listed = await self.gateway.operations.call(ListSessions(), LOCAL_USER)
        self.assertEqual(listed.sessions, [])

    async def log_out(self, browser: Browser, name: str) -> None:
        self.assertEqual((await browser.ask("DELETE", "/api/v1/session"))[0], 200)
        self.assertIn("Max-Age=0", browser.set_cookie)

    async def revoke(self, browser: Browser, name: str) -> None:
        ended = await self.gateway.operations.call(RevokeSession(session=f"{name}@plant.example"), LOCAL_USER)
        self.assertEqual([session.role for session in ended.sessions], ["operator"])

    async def wait(self, browser: Browser, name: str) -> None:
        sessions = self.gateway.entrance.sessions
        now = sessions._now_ns
        self.patch(sessions, "_now_ns", lambda: now() + 21 * 60 * 1_000_000_000)

    async def test_it_outlives_the_gateway(self) -> None:
        """A new release does not log everybody out."""
        browser = self.browser()
        await browser.log_in("vera@plant.example")
        await self.system.stop()
        await self.start_gateway()
        browser.address = self.address
        self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 200)

    async def test_roles_that_the_erp_takes_back_are_lost_here(self) -> None:
        """It is asked again from time to time; while it is away people go on as they were."""
        sessions = self.gateway.entrance.sessions
        now, later = sessions._now_ns, 0
        self.patch(sessions, "_now_ns", lambda: now() + later)
        browsers = {name: self.browser() for name in ("otto", "adam")}
        for name, browser in browsers.items():
            await browser.log_in(f"{name}@plant.example")
        await self.give("otto", "Stock User")
        await self.give("adam", "Employee")
        later = 11 * 60 * 1_000_000_000
        for browser in browsers.values():
            self.assertEqual((await browser.ask("GET", "/api/v1/status"))[0], 200)
        await sessions._writing.finish()
        _, told = await browsers["otto"].ask("GET", "/api/v1/session")
        self.assertEqual(told["who"]["role"], "viewer")
        self.assertEqual((await browsers["adam"].ask("GET", "/api/v1/status"))[0], 401)
        await self.stop_erp()
        later *= 2
        for _ in range(2):
            self.assertEqual((await browsers["otto"].ask("GET", "/api/v1/status"))[0], 200)
            await sessions._writing.finish()
        self.assertEqual((await self.browser().log_in("vera@plant.example"))[0], 503)

    async def test_it_is_on_record_who_came_and_no_password_is(self) -> None:
        """Log-ins, log-outs and what was done in between, by the names that the ERP has."""
        browser = self.browser()
        await browser.log_in("otto@plant.example")
        await browser.ask("POST", "/api/v1/sources/gate/pause")
        await browser.ask("DELETE", "/api/v1/session")
        page = await self.gateway.operations.call(ListAudit(who="otto@plant.example"), LOCAL_USER)
        self.assertEqual(
            [entry.what for entry in page.entries][::-1], ["login.succeeded", "pause", "pause", "login.ended"]
        )
        await self.system.stop()
        for file in self.directory.glob("journal.db*"):
            self.assertNotIn(SECRET.encode(), file.read_bytes())
        await self.start_gateway()
