"""Commands to a device and what it replies, a frame each: ``CMD <id> <payload>`` and ``RES <id> <payload>``.

A reply whose payload is ``ERR``, or begins with ``ERR`` and a blank, says that the device did not do it. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec
from msgspec import Struct

LONGEST: Final = 16_384
"""Bytes of a command's payload."""
REPLY: Final = b"RES "
"""Every reply begins so."""

IDENTIFIER: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""What a command's id is like."""
_COMMAND = re.compile(rb"CMD ([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?: (.*))?", re.DOTALL)
_REPLY = re.compile(rb"RES ([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?: (.*))?", re.DOTALL)


class Reply(Struct, frozen=True):
    """What a device says to a command."""

    id: str
    text: str
    """Its payload; of an error what follows ``ERR``. What is not UTF-8 is escaped."""
    error: bool = False


def payload_of(value: object) -> bytes:
    """Return a payload as it goes out: a text as it stands, any other JSON value as compact JSON.

    Raises:
        ValueError: it is too long, or a text that does not fit in one line; the message is for the one who sends.

    """
    if isinstance(value, str):
        odd = next((char for char in value if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}), None)
        if odd is not None:
            raise ValueError(f"payload: a text is one line without control characters, unlike {odd!r}")
        payload = value.encode()
    else:
        payload = msgspec.json.encode(value)
    if len(payload) > LONGEST:
        raise ValueError(f"payload: {len(payload)} bytes, at most {LONGEST} are sent")
    return payload


def encode_command(identifier: str, payload: bytes) -> bytes:
    """Return a command without what frames it."""
    return b"CMD %s %s" % (identifier.encode(), payload) if payload else b"CMD %s" % identifier.encode()


def encode_reply(reply: Reply) -> bytes:
    """Return a reply as a device sends it, without what frames it."""
    words = ["RES", reply.id, *(["ERR"] if reply.error else []), *([reply.text] if reply.text else [])]
    return " ".join(words).encode()


def parse_command(frame: bytes) -> tuple[str, bytes] | None:
    """Return the id and the payload of a command; None for any other frame."""
    found = _COMMAND.fullmatch(frame)
    return None if found is None else (found[1].decode(), found[2] or b"")


def parse_reply(frame: bytes) -> Reply | None:
    """Return what a frame replies; None for one that is no reply."""
    found = _REPLY.fullmatch(frame)
    if found is None:
        return None
    payload: bytes = found[2] or b""
    word, _, rest = payload.partition(b" ")
    error = word == b"ERR"
    return Reply(found[1].decode(), (rest if error else payload).decode(errors="backslashreplace"), error)
