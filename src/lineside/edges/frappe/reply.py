"""What came back for one HTTP request, and what Frappe says in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

import msgspec
from msgspec import Struct

MAX_KEPT_BYTES = 16 * 1024
"""So much of an answer's body is kept with a refused record."""

MAX_WORDS = 500
"""Characters of a reason shown to a person."""

TAG = re.compile(r"<[a-zA-Z/!][^<>]*>")
"""A tag holds no other: else a device's text of many ``<``, echoed by the site, would cost quadratic time."""

MAX_NESTING = 4
"""Frappe wraps messages in JSON strings in lists in JSON strings; deeper than this is not Frappe."""


class Reply(Struct, frozen=True):
    """A whole HTTP answer, whoever wrote it."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a repeated header the last."""
    content_type: str
    """``application/json``: lower case, without parameters; empty when not given."""
    body: bytes
    cookies: tuple[str, ...] = ()
    """Each ``Set-Cookie`` as it came."""


class Unreachable(Exception):
    """No whole answer came. ``sent`` is False only when the request cannot have reached the server.

    ``lasting`` is true where it will not pass by itself; the reason then ends with what to do.
    """

    def __init__(self, reason: str, *, sent: bool, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.lasting = lasting


class Parsed(Struct, frozen=True):
    """An answer's body as Frappe writes it; every field is empty for an answer that Frappe did not write."""

    envelope: dict[str, Any] | None
    """The JSON object, None where the body is something else."""
    exc_type: str | None
    """The exception's class: v1 ``exc_type`` or the class in ``exception`` (v14), v2 ``errors[].type``."""
    words: str
    """What Frappe tells a person, as one line of plain text; empty when it tells nothing."""


def to_json(value: object) -> bytes:
    """Return the JSON text of a request.

    Raises:
        TypeError or ValueError: it holds what JSON cannot, such as a NaN, which would arrive as 0.

    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def parse(reply: Reply) -> Parsed:
    """Read Frappe's envelope and error format (v1 and v2) from any answer; never raises."""
    body = _decoded(reply.body)
    if not isinstance(body, dict):
        return Parsed(None, None, "")
    return Parsed(body, _exc_type(body), _one_line(_messages(body)))


def summary(reply: Reply, parsed: Parsed) -> str:
    """Return one line that says what the answer was: Frappe's words, or what stands in the page."""
    if parsed.words:
        return parsed.words
    if parsed.exc_type:
        return parsed.exc_type
    text = "" if parsed.envelope is not None else _one_line([reply.body[:MAX_KEPT_BYTES].decode(errors="replace")])
    return f"HTTP {reply.status}: {text}" if text else f"HTTP {reply.status}"


def kept(reply: Reply) -> str:
    """Return the body as received, cut to `MAX_KEPT_BYTES`."""
    return reply.body[:MAX_KEPT_BYTES].decode(errors="replace")


def _decoded(text: bytes | str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _exc_type(body: dict[str, Any]) -> str | None:
    named = body.get("exc_type")
    if isinstance(named, str) and named:
        return named
    errors = body.get("errors")
    if isinstance(errors, list):
        for error in errors:
            if isinstance(error, dict) and isinstance(error.get("type"), str) and error["type"]:
                return str(error["type"])
    exception = body.get("exception")
    if isinstance(exception, str):
        name = exception.partition(":")[0].rpartition(".")[2].strip()
        return name if name.isidentifier() else None
    return None


def _messages(body: dict[str, Any]) -> list[str]:
    """Return the texts meant for a person, the most telling source only."""
    found = list(_texts(body.get("_server_messages"), MAX_NESTING))
    if not found and isinstance(body.get("_error_message"), str):
        found = [body["_error_message"]]
    if not found:
        found = list(_texts(body.get("errors"), MAX_NESTING)) or list(_texts(body.get("messages"), MAX_NESTING))
    exception = body.get("exception")
    if not found and isinstance(exception, str) and ":" in exception:
        found = [exception.partition(":")[2]]
    if not found and isinstance(body.get("message"), str):
        found = [body["message"]]
    return found


def _texts(value: object, depth: int) -> Iterator[str]:
    """Yield each ``message`` of Frappe's nested lists, objects and JSON strings."""
    if depth == 0:
        return
    if isinstance(value, str):
        inner = _decoded(value)
        if isinstance(inner, dict | list):
            yield from _texts(inner, depth - 1)
        elif value.strip():
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, depth - 1)
    elif isinstance(value, dict) and isinstance(value.get("message"), str):
        yield value["message"]


def _one_line(texts: list[str]) -> str:
    plain = (" ".join(unescape(TAG.sub(" ", text[: 8 * MAX_WORDS])).split()) for text in texts)
    line = "; ".join(dict.fromkeys(text for text in plain if text))
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
