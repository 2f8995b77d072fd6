"""Whose password it is: Frappe checks it, as when somebody logs in to the Desk (contract, section 3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
from twisted.logger import Logger

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.levels import GET_ROLES
from lineside.edges.frappe.reply import Reply, Unreachable, parse, to_json
from lineside.edges.frappe.turns import Turns
from lineside.model.errors import LinesideError
from lineside.model.ports import LockedOut, Person

log = Logger()

ASKING = 2
"""Log-ins under way to the site at a time: a password takes it some time, and deliveries go before."""
WAITING = 32
WITHIN = 10.0
"""Seconds for each answer."""
GUEST = "Guest"
LOCKED = "SecurityException"
"""What Frappe raises, with status 500, after ten wrong passwords."""


class SiteSilent(LinesideError):
    """The site does not say whose password it is: it is away, busy, or wants more than a password."""


class FrappePasswords:
    """The `PasswordOracle` of one site.

    Args:
        client: of the site. Its own user's key is used to ask for roles later on, not for logging in.

    """

    def __init__(self, client: FrappeClient) -> None:
        self._client = client
        self._turns = Turns(ASKING, WAITING)

    async def person(self, user: str, password: str) -> Person | None:
        """Return who it is; None where the name or the password is wrong.

        Frappe's session is ended as soon as it has told who that is and what roles they have.

        Raises:
            SiteSilent: it does not say.
            LockedOut: there were too many wrong ones.

        """
        if self._turns.crowded:
            raise SiteSilent("too many log in at a time; try again in a moment")
        return await self._turns.take(lambda: self._person(user, password))

    async def roles(self, user: str) -> frozenset[str]:
        """Return a user's roles; none for one who is disabled, as far as the API key may see that.

        Raises:
            SiteSilent: the site does not say.

        """
        found = await self._ask("GET", url_path("api", "method", GET_ROLES, uid=user))
        if found.status == 404:
            return frozenset()
        if found.status != 200:
            raise _silent(found)
        # Frappe tells the roles of a disabled user too, and only some keys may read users.
        enabled = await self._ask(
            "GET",
            url_path("api", "method", "frappe.client.get_value", doctype="User", filters=user, fieldname="enabled"),
        )
        value = _member(enabled, "message") if enabled.status == 200 else None
        if isinstance(value, dict) and value.get("enabled") == 0:
            return frozenset()
        return _roles(found)

    async def _person(self, user: str, password: str) -> Person | None:
        login = url_path("api", "method", "login")
        reply = await self._ask("POST", login, body=to_json({"usr": user, "pwd": password}), as_user={})
        if reply.status == 401:
            return None
        session = _cookie(reply, "sid")
        if reply.status != 200 or session is None or session == GUEST:
            raise _silent(reply)
        cookie = {b"Cookie": b"sid=" + session.encode()}
        try:
            if _member(reply, "message") != "Logged In":
                raise SiteSilent("this account cannot use the ERP's desk, so that it has no roles there")
            asked = await self._ask("GET", url_path("api", "method", "frappe.auth.get_logged_user"), as_user=cookie)
            name = _member(asked, "message")
            if asked.status != 200 or not isinstance(name, str) or name == GUEST:
                raise _silent(asked)
            found = await self._ask("GET", url_path("api", "method", GET_ROLES, uid=name), as_user=cookie)
            if found.status != 200:
                raise _silent(found)
            full_name = _member(reply, "full_name")
            return Person(name, full_name if isinstance(full_name, str) else name, _roles(found))
        finally:
            await self._log_out(cookie)

    async def _log_out(self, cookie: dict[bytes, bytes]) -> None:
        try:
            reply = await self._client.request(
                "POST", url_path("api", "method", "logout"), within=WITHIN, as_user=cookie
            )
            reason = None if reply.status < 400 else f"it answers {reply.status}"
        except Unreachable as away:
            reason = away.reason
        if reason is not None:
            log.info("login.left_open", reason=reason)

    async def _ask(
        self, method: str, path: str, *, body: bytes | None = None, as_user: dict[bytes, bytes] | None = None
    ) -> Reply:
        try:
            return await self._client.request(method, path, body=body, within=WITHIN, as_user=as_user)
        except Unreachable as away:
            raise SiteSilent(f"the ERP does not answer: {away.reason}") from away


def _silent(reply: Reply) -> SiteSilent | LockedOut:
    parsed = parse(reply)
    envelope = parsed.envelope or {}
    if "verification" in envelope or "tmp_id" in envelope:
        return SiteSilent("this account needs a second factor, which is asked for by the ERP's own pages only")
    if envelope.get("message") == "Password Reset":
        return SiteSilent("the password has expired: set a new one in the ERP first")
    if parsed.exc_type == LOCKED:
        return LockedOut("the ERP has locked this account for a while, after too many wrong passwords")
    if reply.status == 429:
        return SiteSilent("the ERP is busy; try again in a moment")
    return SiteSilent(f"the ERP does not say whose password this is: it answers {reply.status}")


def _cookie(reply: Reply, name: str) -> str | None:
    for cookie in reply.cookies:
        given, _, rest = cookie.partition("=")
        if given.strip() == name:
            return unquote(rest.partition(";")[0].strip())
    return None


def _roles(reply: Reply) -> frozenset[str]:
    told = _member(reply, "message")
    return frozenset(role for role in told if isinstance(role, str)) if isinstance(told, list) else frozenset()


def _member(reply: Reply, name: str) -> Any:
    try:
        answer = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return answer.get(name) if isinstance(answer, dict) else None
