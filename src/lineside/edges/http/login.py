"""Logging in, logging out, and who one is: ``/api/v1/session``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from lineside.model.errors import LinesideError
from lineside.operations.logins import LogIns, NoRole, TooSoon, WrongPassword
from lineside.operations.web import JSON, Answer, Call, Endpoint, Problem, Reply
from lineside.security.identity import NOBODY, ROLES, Role
from lineside.security.sessions import (
    COOKIE,
    SECURE_COOKIE,
    cookie_of,
    csrf_of,
    same_origin,
    set_cookie,
)

PATH = "/api/v1/session"
RETRY = 5
"""Seconds after which to ask again what the ERP did not say."""


class Credentials(Struct, forbid_unknown_fields=True):
    """By what somebody logs in: as in the ERP."""

    user: Annotated[str, Meta(min_length=1, max_length=140)]
    password: Annotated[str, Meta(min_length=1, max_length=1024)]

    def __repr__(self) -> str:
        return "Credentials(...)"


class Who(Struct):
    """Who asks."""

    name: str
    role: str
    permissions: list[str]
    full_name: str | None = None
    """Of somebody who logged in."""


class Standing(Struct):
    """Who asks, and how they could say who they are."""

    who: Who | None
    """None where they did not say."""
    login: str | None
    """The ERP with whose passwords one logs in; None where nobody does."""
    csrf: str | None = None
    """What goes into the header ``X-Lineside-CSRF`` of each request that changes something."""


class SessionEndpoints:
    """The endpoints.

    Args:
        log_ins: lets people in; None where nobody logs in.
        secure: browsers come over TLS.
        insecure: passwords are taken from other machines without it all the same.

    """

    def __init__(self, log_ins: LogIns | None, *, secure: bool, insecure: bool = False) -> None:
        self._log_ins = log_ins
        self._secure = secure
        self._insecure = insecure
        self.cookie = SECURE_COOKIE if secure else COOKIE

    @property
    def endpoints(self) -> list[Endpoint]:
        """What may be asked."""
        told = {200: Reply("Who asks, and how they could say who they are.", {JSON: Standing})}
        asked = Endpoint("GET", PATH, "session", "Who asks", None, self._standing, replies=told, tag="session")
        if self._log_ins is None:
            return [asked]
        return [
            asked,
            Endpoint(
                "POST",
                PATH,
                "session.begin",
                "Log in with the ERP's name and password; the session is in a cookie",
                None,
                self._log_in,
                takes={JSON: Credentials},
                replies={
                    200: Reply("Logged in.", {JSON: Standing}),
                    401: Reply("The name or the password is wrong."),
                    403: Reply("The account has no role here, or the request came from elsewhere or without TLS."),
                    429: Reply("Too many wrong passwords before; `Retry-After` says when to try again."),
                    503: Reply("The ERP does not say whose password it is."),
                },
                tag="session",
            ),
            Endpoint(
                "DELETE",
                PATH,
                "session.end",
                "Log out",
                None,
                self._log_out,
                replies={200: Reply("Logged out.", {JSON: Standing}), 401: Reply("Nobody is logged in.")},
                tag="session",
            ),
        ]

    def _standing(self, call: Call) -> Answer:
        text = cookie_of(call.headers, self.cookie)
        log_ins = self._log_ins
        session = None if log_ins is None or text is None else log_ins.sessions.find(text)
        who = None
        if session is not None and call.session:
            who = _who(session.user, session.role, session.full_name)
        elif call.identity is not NOBODY:
            who = _who(call.identity.name, call.identity.role)
        csrf = csrf_of(text) if session is not None and call.session and text is not None else None
        return self._answer(Standing(who, None if log_ins is None else log_ins.site, csrf))

    async def _log_in(self, call: Call) -> Answer:
        log_ins = self._log_ins
        assert log_ins is not None
        if not (self._secure or self._insecure or call.local):
            raise Problem(403, "passwords are taken over TLS only; see `tls` in [http] and [http.login]")
        if not same_origin(call.headers, secure=self._secure):
            raise Problem(403, "this came from a page of another site")
        given = _given(call.body)
        try:
            text, session = await log_ins.log_in(given.user, given.password, call.peer)
        except WrongPassword as wrong:
            raise Problem(401, str(wrong)) from wrong
        except TooSoon as soon:
            raise Problem(429, str(soon), headers={"Retry-After": str(soon.after)}) from soon
        except NoRole as none:
            raise Problem(403, str(none)) from none
        except LinesideError as silent:
            raise Problem(503, str(silent), headers={"Retry-After": str(RETRY)}) from silent
        # Whoever had a session here before has another one now: nobody goes on in one that somebody else planted.
        before = cookie_of(call.headers, self.cookie)
        planted = None if before is None else log_ins.sessions.find(before)
        if planted is not None:
            await log_ins.sessions.end(planted.id)
        standing = Standing(_who(session.user, session.role, session.full_name), log_ins.site, csrf_of(text))
        return self._answer(standing, set_cookie(self.cookie, text, seconds=int(log_ins.sessions.lifetime)))

    async def _log_out(self, call: Call) -> Answer:
        log_ins = self._log_ins
        assert log_ins is not None
        text = cookie_of(call.headers, self.cookie)
        session = None if text is None or not call.session else log_ins.sessions.find(text)
        if session is None:
            raise Problem(
                401,
                "nobody is logged in",
            )
        await log_ins.log_out(session, call.peer)
        return self._answer(Standing(None, log_ins.site), set_cookie(self.cookie, "", seconds=0))

    @staticmethod
    def _answer(standing: Standing, cookie: str | None = None) -> Answer:
        headers = [("Cache-Control", "no-store")]
        if cookie is not None:
            headers.append(("Set-Cookie", cookie))
        return Answer(200, msgspec.json.encode(standing), headers=tuple(headers))


def _who(name: str, role: Role, full_name: str | None = None) -> Who:
    return Who(name, role, sorted(ROLES[role]), full_name)


def _given(body: bytes) -> Credentials:
    try:
        return msgspec.json.decode(body, type=Credentials)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        # What is wrong may repeat what was given.
        raise Problem(422, 'give {"user": …, "password": …}, as texts') from wrong
