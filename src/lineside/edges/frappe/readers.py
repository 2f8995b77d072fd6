"""Who somebody is at Frappe, and what they may read there: Frappe itself is asked, as that user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.edges.frappe.rooms import document_of
from lineside.edges.frappe.turns import Turns
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential

KEPT = 30.0
"""Seconds for which an answer is good."""
MOST = 4096
"""Answers that are kept."""
ASKING = 2
"""Questions under way to the site at a time: they are asked before anybody is known, and deliveries go before."""
WAITING = 128
"""Further questions that wait for their turn; who comes then comes again."""
WITHIN = 5.0
"""Seconds for an answer: a client waits no longer."""
GUEST = "Guest"
UNKNOWN = frozenset({404, 417})
"""What is answered where there is no such method, or no such document."""
NO_DOCTYPE = "ImportError"
"""What Frappe answers, with status 500, where there is no such DocType (contract, section 10)."""


class SiteAway(LinesideError):
    """The site gives no answer, so that nobody can say."""


class FrappeReaders:
    """The `PermissionOracle` of one site.

    Args:
        client: of the site; its own user's key is not used.

    """

    def __init__(self, client: FrappeClient) -> None:
        self._client = client
        self._turns = Turns(ASKING, WAITING)
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._older = False
        """The site answered in the way of releases before v16, which lack ``frappe.realtime.has_permission``."""

    async def whose(self, credential: Credential) -> str | None:
        """Return the user whose session or key it is; None if it is nobody's.

        Raises:
            SiteAway: the site gives no answer.

        """
        found, user = self._look_up(credential)
        if not found:
            reply = await self._ask(url_path("api", "method", "frappe.auth.get_logged_user"), credential)
            message = _member(reply, "message") if reply.status == 200 else None
            user = message if isinstance(message, str) and message != GUEST else None
            self._keep(credential, user)
        return None if user is None else str(user)

    async def may_read(self, credential: Credential, channel: str) -> bool:
        """Tell whether the user may read what the channel ``frappe:doctype:…`` or ``frappe:doc:…/…`` tells of.

        Raises:
            SiteAway: the site gives no answer.

        """
        document = document_of(channel)
        if document is None:
            return False
        found, allowed = self._look_up((credential, channel))
        if not found:
            allowed = await self._permitted(credential, *document)
            self._keep((credential, channel), allowed)
        return bool(allowed)

    async def _permitted(self, credential: Credential, doctype: str, name: str | None) -> bool:
        if not self._older:
            path = url_path("api", "method", "frappe.realtime.has_permission", doctype=doctype, name=name or "")
            reply = await self._ask(path, credential)
            if reply.status not in UNKNOWN:
                return reply.status == 200 and bool(_member(reply, "message"))
        if name is None:
            path = url_path("api", "method", "frappe.realtime.can_subscribe_doctype", doctype=doctype)
        else:
            path = url_path("api", "method", "frappe.realtime.can_subscribe_doc", doctype=doctype, docname=name)
        reply = await self._ask(path, credential)
        if self._older and reply.status in UNKNOWN:
            # It is no longer, perhaps.
            self._older = False
            return await self._permitted(credential, doctype, name)
        # Only a yes tells that the site knows this way: the other also answers so where there is no such document.
        self._older = self._older or reply.status == 200
        return reply.status == 200

    async def _ask(self, path: str, credential: Credential) -> Reply:
        if self._turns.crowded:
            raise SiteAway("too many ask at a time")
        try:
            reply = await self._turns.take(
                lambda: self._client.request("GET", path, within=WITHIN, as_user=_headers(credential))
            )
        except Unreachable as away:
            raise SiteAway(str(away)) from away
        if (reply.status >= 500 and _member(reply, "exc_type") != NO_DOCTYPE) or reply.status == 429:
            raise SiteAway(f"the site answers {reply.status}")
        return reply

    def _look_up(self, key: Hashable) -> tuple[bool, Any]:
        until, value = self._known.get(key, (float("-inf"), None))
        return self._client.clock.seconds() < until, value

    def _keep(self, key: Hashable, value: Any) -> None:
        self._known[key] = (self._client.clock.seconds() + KEPT, value)
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)


def _headers(credential: Credential) -> Mapping[bytes, bytes]:
    # Never both: where there are two, the cookie wins (contract, section 10).
    if credential.token is not None:
        return {b"Authorization": b"token " + credential.token.encode()}
    return {b"Cookie": b"sid=" + (credential.session or "").encode()}


def _member(reply: Reply, name: str) -> Any:
    try:
        answer = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return answer.get(name) if isinstance(answer, dict) else None
