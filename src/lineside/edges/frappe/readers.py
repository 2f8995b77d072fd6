"""Who somebody is at Frappe, and what they may read there: Frappe itself is asked, as that user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import msgspec

from lineside.edges.frappe.client import FrappeClient, url_path
from lineside.edges.frappe.reply import Reply, Unreachable
from lineside.edges.frappe.rooms import document_of
from lineside.model.errors import LinesideError
from lineside.model.ports import Credential

KEPT = 30.0
"""Seconds for which an answer is good."""
MOST = 4096
"""Answers that are kept."""
GUEST = "Guest"
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
        self._known: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._has_permission = True
        """The site may know ``frappe.realtime.has_permission`` (v16 and later)."""

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
        if self._has_permission:
            path = url_path("api", "method", "frappe.realtime.has_permission", doctype=doctype, name=name or "")
            reply = await self._ask(path, credential)
            if reply.status not in {404, 417}:
                return reply.status == 200 and bool(_member(reply, "message"))
            self._has_permission = False
        if name is None:
            path = url_path("api", "method", "frappe.realtime.can_subscribe_doctype", doctype=doctype)
        else:
            path = url_path("api", "method", "frappe.realtime.can_subscribe_doc", doctype=doctype, docname=name)
        return (await self._ask(path, credential)).status == 200

    async def _ask(self, path: str, credential: Credential) -> Reply:
        try:
            reply = await self._client.request("GET", path, as_user=_headers(credential))
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
    except msgspec.DecodeError:
        return None
    return answer.get(name) if isinstance(answer, dict) else None
