"""Whose password it is, as Frappe tells it, and what it says instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.passwords import FrappePasswords, SiteSilent
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.model.ports import LockedOut, Person

IN = {"message": "Logged In", "home_page": "/app", "full_name": "Ann Lee"}
COOKIES = (
    "system_user=yes; Path=/",
    "sid=abc%2Bd; Expires=x; HttpOnly; Path=/; SameSite=Lax",
    "user_id=ann; Path=/",
)


def reply(status: int, body: object, *cookies: str) -> Reply:
    return Reply(status, {}, "application/json", json.dumps(body).encode(), cookies)


class Site:
    """Answers by path, in place of a client; and keeps what it was asked."""

    def __init__(self, **answers: Reply | Unreachable) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, bytes | None, Mapping[bytes, bytes] | None]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        within: float | None = None,
        as_user: Mapping[bytes, bytes] | None = None,
    ) -> Reply:
        name = path.partition("?")[0].rpartition("/")[2].rpartition(".")[2]
        self.asked.append((method, name, body, as_user))
        answer = self.answers[name]
        if isinstance(answer, Unreachable):
            raise answer
        return answer


class Passwords(SynchronousTestCase):
    """One log-in."""

    def passwords(self, **answers: Reply | Unreachable) -> FrappePasswords:
        self.site = Site(
            **{
                "login": reply(200, IN, *COOKIES),
                "get_logged_user": reply(200, {"message": "ann@plant.example"}),
                "get_roles": reply(200, {"message": ["Stock User", "All"]}),
                "get_value": reply(200, {"message": {"enabled": 1}}),
                "logout": reply(200, {}),
                **answers,
            }
        )
        return FrappePasswords(cast(FrappeClient, self.site))

    def person(self, **answers: Reply | Unreachable) -> Person | None:
        work = self.passwords(**answers).person("ann", "secret")
        return self.successResultOf(Deferred.fromCoroutine(work))

    def silence(self, **answers: Reply | Unreachable) -> str:
        work = self.passwords(**answers).person("ann", "secret")
        return str(self.failureResultOf(Deferred.fromCoroutine(work), SiteSilent, LockedOut).value)

    def test_it_asks_as_that_user_and_leaves_no_session(self) -> None:
        """The API key, which may do more, is not shown; what was opened is closed."""
        self.assertEqual(self.person(), Person("ann@plant.example", "Ann Lee", frozenset({"Stock User", "All"})))
        names = [name for _, name, _, _ in self.site.asked]
        self.assertEqual(names, ["login", "get_logged_user", "get_roles", "logout"])
        self.assertEqual(self.site.asked[0][3], {})
        self.assertEqual({str(asked[3]) for asked in self.site.asked[1:]}, {str({b"Cookie": b"sid=abc+d"})})

    def test_a_wrong_password_is_nobodys(self) -> None:
        """Nothing more is asked."""
        self.assertIsNone(self.person(login=reply(401, {"message": "Invalid login credentials"})))
        self.assertEqual(len(self.site.asked), 1)

    def test_what_it_wants_more_is_said_in_words(self) -> None:
        """A second factor, a password that has expired, a locked account, a customer's account."""
        locked = {"exc_type": "SecurityException", "exception": "frappe.exceptions.SecurityException: locked"}
        for status, body, cookies, words in (
            (200, {"verification": {"method": "OTP App"}, "tmp_id": "x"}, (), "second factor"),
            (200, {"message": "Password Reset", "redirect_to": "/update-password"}, (), "expired"),
            (500, locked, (), "locked"),
            (429, {}, (), "busy"),
            (502, {}, (), "502"),
            (200, {"message": "No App", "full_name": "Cust"}, COOKIES, "desk"),
        ):
            self.assertIn(words, self.silence(login=reply(status, body, *cookies)), body)

    def test_no_page_of_the_sites_tells_the_password(self) -> None:
        """One that repeats the request, as in a developer's mode, is told by its status alone."""
        page = b"<pre>Traceback: usr='ann', pwd='right horse'</pre> right horse"
        for status in (200, 302, 400, 403, 417, 500, 503):
            for kind in ("text/html", "application/json"):
                for body in (page, json.dumps({"exc_type": "right horse", "message": page.decode()}).encode()):
                    answer = Reply(status, {}, kind, body, ("sid=Guest; Path=/",))
                    with capturedLogs() as logged:
                        work = self.passwords(login=answer).person("ann", "right horse")
                        failure = self.failureResultOf(Deferred.fromCoroutine(work), SiteSilent)
                    self.assertNotIn("right horse", f"{failure.value} {logged}")

    def test_a_session_is_closed_whatever_follows(self) -> None:
        """Also of a customer's account, and where the roles cannot be had."""
        self.silence(login=reply(200, {"message": "No App"}, *COOKIES))
        self.assertEqual(self.site.asked[-1][1], "logout")
        self.silence(get_roles=reply(403, {}))
        self.assertEqual(self.site.asked[-1][1], "logout")

    def test_a_site_that_is_away_says_nothing(self) -> None:
        """Nobody is refused for it; that a session stays open there is no reason not to let somebody in."""
        self.assertIn("does not answer", self.silence(login=Unreachable("refused", sent=False)))
        self.assertIsNotNone(self.person(logout=Unreachable("lost", sent=True)))

    def test_roles_are_asked_again_by_the_key(self) -> None:
        """A user who was disabled has none, where the key may see that; and one who is gone."""

        def roles(**answers: Any) -> frozenset[str]:
            return self.successResultOf(
                Deferred.fromCoroutine(self.passwords(**answers).roles("ann@plant.example"))
            )

        self.assertEqual(roles(), {"Stock User", "All"})
        self.assertEqual(roles(get_value=reply(403, {})), {"Stock User", "All"})
        self.assertEqual(roles(get_value=reply(200, {"message": {"enabled": 0}})), frozenset())
        self.assertEqual(roles(get_roles=reply(404, {})), frozenset())
        self.assertIsNone(self.site.asked[0][3])
