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


class Success(Struct, frozen=True):
    """What a request brought: ``{key: value}`` with ``extra`` keys beside it."""

    key: str
    value: object
    status: int = 200
    extra: dict[str, Any] = {}


def success(done: Success) -> Answer:
    """Return a success's answer; a v1 method that returned nothing has no ``message``."""
    told = {} if done.value is None and done.key == "message" else {done.key: done.value}
    return Answer(done.status, msgspec.json.encode({**done.extra, **told}))


def plain(status: int, value: object) -> Answer:
    """Return a JSON answer of the stand-in's own, outside Frappe's API."""
    return Answer(status, msgspec.json.encode(value))


def page(status: int, title: str, text: str) -> Answer:
    """Return a page as the web framework in Frappe makes it."""
    written = f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
    return Answer(status, written.encode(), b"text/html; charset=utf-8")


UNKNOWN_SITE = page(
    404,
    "Not Found",
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling"
    " and try again.",
)
TOO_LARGE = page(413, "Request Entity Too Large", "The data value transmitted exceeds the capacity limit.")
TOO_MANY = Answer(429, b"Too Many Requests", TEXT)
"""To who accepts text first; others get JSON."""

BAD_GATEWAY = Answer(
    502,
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>"
    b"\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
    HTML,
)
"""From the proxy, while nothing answers behind it."""


def line_too_long(length: int, longest: int) -> Answer:
    """Return what gunicorn answers to a request line that is too long."""
    reason = f"Request Line is too large ({length} &gt; {longest})"
    written = (
        "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n"
        f"    <h1><p>Bad Request</p></h1>\n    {reason}\n  </body>\n</html>\n"
    )
    return Answer(400, written.encode(), HTML, ((b"Connection", b"close"),))


def method_not_allowed(allowed: str) -> Answer:
    """Return the web framework's own page: a path is known, but not with this method."""
    answer = page(405, "Method Not Allowed", "The method is not allowed for the requested URL.")
    return msgspec.structs.replace(answer, headers=((b"Allow", allowed.encode()),))


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
