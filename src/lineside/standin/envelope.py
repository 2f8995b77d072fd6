"""The envelopes of Frappe's two API versions, as bytes. Pure.

Shapes and content types are those measured on Frappe 15 (Frappe contract, sections 1 and 10).
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import msgspec
from msgspec import Struct

from lineside.standin.errors import FrappeError, Message

HTML = b"text/html"
TEXT = b"text/plain; charset=utf-8"


class Answer(Struct, frozen=True):
    """A whole HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


INTERNAL_ERROR = Answer(
    500,
    b"<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n"
    b"    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n",
    HTML,
)
"""What a browser gets for any error, and what anybody gets when Frappe fails outside its own error path."""


def success(key: str, value: object, status: int = 200) -> Answer:
    """Return ``{key: value}``; an empty object when a v1 method returned nothing."""
    return Answer(status, msgspec.json.encode({} if value is None and key == "message" else {key: value}))


def plain(status: int, value: object) -> Answer:
    """Return a JSON answer of the stand-in's own, outside Frappe's API."""
    return Answer(status, msgspec.json.encode(value))


def method_not_allowed(allowed: str) -> Answer:
    """Return the web framework's own page: a path is known, but not with this method."""
    page = (
        "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
        "<p>The method is not allowed for the requested URL.</p>\n"
    )
    return Answer(405, page.encode(), b"text/html; charset=utf-8", ((b"Allow", allowed.encode()),))


def failure(error: FrappeError, version: int, *, tracebacks: bool = True) -> Answer:
    """Return an error's answer.

    Args:
        error: what went wrong.
        version: 1 or 2, of the API.
        tracebacks: the site's ``allow_error_traceback``.

    """
    envelope = _second(error, tracebacks) if version == 2 else _first(error, tracebacks)
    return Answer(error.status, msgspec.json.encode(envelope))


def _first(error: FrappeError, tracebacks: bool) -> dict[str, Any]:
    envelope: dict[str, Any] = dict(error.extra)
    if tracebacks and error.traced:
        envelope["exception"] = error.exception
    envelope["exc_type"] = error.exc_type
    if tracebacks and error.traced:
        envelope["exc"] = json.dumps([_traceback(error)])
    if error.messages:
        envelope["_server_messages"] = json.dumps([json.dumps(_entry(message)) for message in error.messages])
    return envelope


def _second(error: FrappeError, tracebacks: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"type": error.exc_type}
    if tracebacks and error.traced:
        told["exception"] = _traceback(error)
    for message in error.messages[-1:]:
        told |= {"message": message.message, "title": message.title}
        if message.indicator:
            told["indicator"] = message.indicator
    envelope: dict[str, Any] = {name: value for name, value in error.extra.items() if name == "session_expired"}
    return {**envelope, "errors": [told]}


def _entry(message: Message) -> dict[str, Any]:
    entry: dict[str, Any] = {"message": message.message, "title": message.title}
    if message.indicator:
        entry["indicator"] = message.indicator
    if message.raise_exception:
        entry |= {"raise_exception": 1, "__frappe_exc_id": secrets.token_hex(28)}
    return entry


def _traceback(error: FrappeError) -> str:
    return f"Traceback (most recent call last):\n  (not kept by the stand-in)\n{error.exception}\n"
