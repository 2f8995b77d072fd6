"""Frappe's realtime rooms as live channels. Pure.

What Frappe publishes on its Redis channel ``events``: the contract's section 6, and section 10 as measured.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

CHANNEL = "events"
"""The Redis channel."""
DOCTYPE = "frappe:doctype:"
DOCUMENT = "frappe:doc:"


class Published(Struct):
    """What Frappe publishes."""

    event: str
    message: Any = None
    room: str | None = None
    namespace: str | None = None


_decoder = msgspec.json.Decoder(Published)


def live(data: bytes, site: str | None) -> tuple[str, bytes] | None:
    """Return the live channel and the JSON for something that Frappe published; None for what has no channel.

    Rooms of users, of tasks and of everybody have none: no permission on a document says who is in them.

    Args:
        data: as it came from Redis.
        site: only what this site published counts; None for a bench with a single one.

    """
    try:
        published = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    room = published.room or ""
    if published.namespace is None and site is not None and room.startswith(f"{site}:"):
        # v14 has no namespaces, and the site's name before the room's.
        room = room.removeprefix(f"{site}:")
    elif site is not None and published.namespace != site:
        return None
    kind, _, name = room.partition(":")
    if kind not in {"doctype", "doc"} or not name:
        return None
    told = msgspec.json.encode({"event": published.event, "message": published.message})
    return f"frappe:{kind}:{name}", told


def document_of(channel: str) -> tuple[str, str | None] | None:
    """Return the DocType and, of a single document, the name that a channel tells of; None where it is none."""
    if channel.startswith(DOCTYPE) and channel != DOCTYPE:
        return channel.removeprefix(DOCTYPE), None
    doctype, slash, name = channel.removeprefix(DOCUMENT).partition("/")
    if channel.startswith(DOCUMENT) and doctype and slash and name:
        return doctype, name
    return None
