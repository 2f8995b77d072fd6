"""Who a client is, and what its tokens say: the gateway's own, those that others make, and what the ERP knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredSemaphore

from lineside.edges.websocket import codes
from lineside.edges.websocket.codes import Ended, Refused
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential, PermissionOracle
from lineside.operations.web import Call
from lineside.security.identity import NOBODY, ROLES, Identity, Role
from lineside.security.jwts import BadToken, ExpiredToken, Holder, JwtTokens

ASKED = 2
"""Clients that the ERP is asked about at a time, again; the others wait for their turn."""


class Tokens(Protocol):
    """The API tokens there are."""

    def identify(self, text: str) -> Identity | None:
        """Return whose token it is; None if it is none, or no longer one."""
        ...


class Sessions(Protocol):
    """The sessions of people who logged in."""

    def still(self, identifier: str) -> Identity | None:
        """Return whose session it is; None where it has ended."""
        ...


class Known(Struct, frozen=True):
    """A client that said who it is."""

    identity: Identity
    expires_in: int | None = None
    """Seconds until it has to say so again; None for never."""
    info: Any = None
    """What others in a channel are told of it."""
    channels: tuple[str, ...] = ()
    """To which it is subscribed from its start."""
    credential: Credential | None = None
    """By what the ERP knows it."""
    api_token: str | None = None
    """By which it is known, and is no longer once that is revoked."""
    session: str = ""
    """The id of the session by which it is known, and is no longer once that has ended."""


class Recognition:
    """Tells who clients are.

    Args:
        tokens: API tokens.
        jwts: tokens that others make; None where they are not taken.
        oracle: the ERP, which knows its users; None where it is not asked.
        erp_role: what the ERP's users may, beside what the ERP lets them read.
        failed: is told from where somebody came whose token is none.
        sessions: of people who logged in; None where nobody does.
        wait: is told that address, and returns for how many seconds it ought to have waited.

    """

    def __init__(
        self,
        tokens: Tokens,
        jwts: JwtTokens | None = None,
        oracle: PermissionOracle | None = None,
        *,
        erp_role: Role = "nobody",
        failed: Callable[[str], None] = lambda where: None,
        sessions: Sessions | None = None,
        wait: Callable[[str], float] = lambda peer: 0.0,
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._jwts = jwts
        self._oracle = oracle
        self._erp_role = erp_role
        self._failed = failed
        self._wait = wait
        self._asking = DeferredSemaphore(ASKED)

    async def who(self, token: str | None, call: Call) -> Known:
        """Return who connects: by its token, by the ERP's, or as who opened the connection.

        Raises:
            Refused: it did not say; its token has expired; the ERP knows it, and gives no answer; or its token is
                none, as were too many from its address before.
            Ended: its token is none.

        """
        try:
            return await self._who(token, call)
        except Ended as ended:
            self._count(call.peer, ended)
            raise

    def _count(self, peer: str, why: Exception) -> None:
        self._failed(f"live {peer}")
        if self._wait(peer):
            raise Refused(codes.TOO_MANY_REQUESTS) from why

    async def _who(self, token: str | None, call: Call) -> Known:
        at_erp = await self._at_erp(token, call)
        if at_erp is not None:
            return at_erp
        if not token:
            if call.identity is NOBODY:
                raise Refused(codes.UNAUTHORIZED)
            return Known(call.identity, session=call.session, api_token=_bearer(call.headers))
        if self._jwts is not None and token.count(".") == 2:
            try:
                return _known(self._jwts.connection(token))
            except ExpiredToken as expired:
                raise Refused(codes.TOKEN_EXPIRED) from expired
            except BadToken as bad:
                raise Ended(codes.INVALID_TOKEN) from bad
        identity = self._tokens.identify(token)
        if identity is None:
            raise Ended(codes.INVALID_TOKEN)
        return Known(identity, api_token=token)

    def still(self, known: Known) -> bool:
        """Tell whether a client is still who it was: its token is still good, or its session lives."""
        if known.session:
            now = None if self._sessions is None else self._sessions.still(known.session)
            # The ERP's own session beside it may have given them another name and more rights.
            return now is not None and (known.credential is not None or now == known.identity)
        return known.api_token is None or self._tokens.identify(known.api_token) == known.identity

    async def lost_at_erp(self, known: Known, channels: Iterable[str]) -> list[str]:
        """Return which channels a client of the ERP's may no longer read; few clients are looked at at a time.

        Raises:
            Ended: the ERP knows it no longer.
            LinesideError: the ERP gives no answer.

        """
        oracle, credential = self._oracle, known.credential
        assert oracle is not None
        assert credential is not None

        async def ask() -> list[str]:
            if await oracle.whose(credential) != known.identity.name:
                raise Ended(codes.EXPIRED)
            return [channel for channel in channels if not await oracle.may_read(credential, channel)]

        lost: list[str] = await self._asking.run(lambda: Deferred.fromCoroutine(ask()))
        return lost

    def again(self, token: str, user: str, *, peer: str) -> Known:
        """Return who a client is by a new token, which must be the same user's.

        Raises:
            Refused: such tokens are not taken; or it is none, as were too many from the address ``peer`` before.
            Ended: it has expired, or is none of this user's.

        """
        if self._jwts is None:
            raise Refused(codes.NOT_AVAILABLE)
        try:
            holder = self._jwts.connection(token)
        except ExpiredToken as expired:
            raise Ended(codes.EXPIRED) from expired
        except BadToken as bad:
            self._count(peer, bad)
            raise Ended(codes.INVALID_TOKEN) from bad
        if holder.identity.name != user:
            raise Ended(codes.INVALID_TOKEN)
        return _known(holder)

    def lets_in(self, token: str, *, user: str, client: str, channel: str, peer: str) -> int | None:
        """Return for how many seconds a token lets somebody into a channel, None for ever.

        Raises:
            Refused: it has expired, or does not let in; or it is none, as were too many from the address ``peer``
                before.
            Ended: it is somebody else's, or another channel's.

        """
        if self._jwts is None:
            raise Refused(codes.PERMISSION_DENIED)
        try:
            return self._jwts.subscription(token, user=user, client=client, channel=channel)
        except ExpiredToken as expired:
            raise Refused(codes.TOKEN_EXPIRED) from expired
        except BadToken as bad:
            self._count(peer, bad)
            if bad.mismatch:
                raise Ended(codes.INVALID_TOKEN) from bad
            raise Refused(codes.PERMISSION_DENIED) from bad

    async def _at_erp(self, token: str | None, call: Call) -> Known | None:
        """Return who a client is at the ERP, by its session's cookie or its key; None if it brings none."""
        if self._oracle is None:
            return None
        if token is not None and token.startswith("token "):
            credential = Credential(token=token.removeprefix("token ").strip())
        else:
            session = session_of(call.headers.get("cookie", ""))
            if token or not session:
                return None
            credential = Credential(session=session)
        try:
            user = await self._oracle.whose(credential)
        except LinesideError as away:
            if credential.token is None and call.identity is not NOBODY:
                return None
            raise Refused(codes.INTERNAL) from away
        if user is None:
            if credential.token is not None:
                raise Ended(codes.INVALID_TOKEN)
            return None
        # A browser sends the cookie to every port of a machine: who is known already loses nothing by it.
        at_erp = Identity(user, self._erp_role)
        before = replace(call.identity, name=user)
        return Known(
            max(at_erp, before, key=lambda each: len(ROLES[each.role])), credential=credential, session=call.session
        )


def session_of(cookies: str) -> str | None:
    """Return Frappe's session from a ``Cookie`` header (RFC 6265, section 4.2.1)."""
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == "sid" and value and value != "Guest":
            return value
    return None


def _bearer(headers: Mapping[str, str]) -> str | None:
    """Return the token that a request was let in by, where it brought one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _known(holder: Holder) -> Known:
    return Known(holder.identity, holder.expires_in, holder.info, holder.channels)
