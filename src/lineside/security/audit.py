"""The record of who did what from where: what one entry holds, and how it is chained to the one before. Pure.

Each entry carries the hash of the one before and its own, which is BLAKE2b (RFC 7693) over that hash and the
entry's canonical JSON. Whoever alters, removes or slips in an entry has to make anew all that follow it; whoever
has noted a later hash elsewhere, from the gateway's log for instance, knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal

import msgspec
from msgspec import Struct

from lineside.security.tokens import PREFIX

State = Literal["asked", "done", "failed", "left", "noted"]
"""``asked``: about to be carried out. ``done``, ``failed``: that it was, or not. ``left``: the one who asked gave
up before the end was known. ``noted``: it happened."""

BEGINNING = bytes(32)
"""Before the first entry."""
LONGEST = 200
"""Characters of a text in an entry; of a list as many items."""
_PERSON = b"lineside-audit"
_TOKEN = re.compile(rf"{PREFIX}_[0-9a-f]{{8}}_\w*")


class Act(Struct, frozen=True):
    """Who did what from where."""

    who: str
    role: str
    where: str
    """The door, and the address or the user of the system there."""
    what: str
    """The operation, or what happened."""
    state: State
    facts: Mapping[str, Any] = {}
    """About what; never a payload, never a secret."""


class Entry(Struct, frozen=True):
    """One act on record. Numbers are contiguous."""

    number: int
    at_ns: int
    act: Act
    facts: str
    """As JSON, which is what is hashed."""
    before: bytes
    hash: bytes

    @property
    def whole(self) -> bool:
        """It is as it was written."""
        return self.hash == seal(self.before, self.number, self.at_ns, self.act, self.facts)


def enter(act: Act, number: int, at_ns: int, before: bytes) -> Entry:
    """Return the entry of an act that follows the one whose hash is ``before``."""
    facts = msgspec.json.encode({name: plain(value) for name, value in act.facts.items()}, order="sorted").decode()
    cleaned = msgspec.structs.replace(act, who=plain(act.who), where=plain(act.where), facts={})
    return Entry(number, at_ns, cleaned, facts, before, seal(before, number, at_ns, cleaned, facts))


def seal(before: bytes, number: int, at_ns: int, act: Act, facts: str) -> bytes:
    """Return an entry's hash."""
    content = msgspec.json.encode([number, at_ns, act.who, act.role, act.where, act.what, act.state, facts])
    return blake2b(before + content, digest_size=32, person=_PERSON).digest()


def plain(value: Any) -> Any:
    """Return a value as an entry may hold it: bounded, and without the secret of a token that somebody typed in."""
    if isinstance(value, str):
        text = _TOKEN.sub(lambda found: f"{found[0][: len(PREFIX) + 9]}_…", value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    if isinstance(value, list | tuple):
        items = [plain(each) for each in value[:LONGEST]]
        return items if len(value) <= LONGEST else [*items, f"and {len(value) - LONGEST} more"]
    return value
