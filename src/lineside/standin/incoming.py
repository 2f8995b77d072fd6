"""A request as the API sees it, and the arguments in it. Pure."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from lineside.standin.errors import foreign, thrown
from lineside.standin.filters import decoded


class Incoming(Struct, frozen=True):
    """One HTTP request under ``/api``."""

    verb: str
    path: tuple[str, ...]
    """The unquoted segments after ``api`` and, where given, ``v1`` or ``v2``."""
    version: int
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    authorization: str | None = None
    accept: str = "*/*"
    cookie: str | None = None
    csrf_token: str | None = None
    """The header ``X-Frappe-CSRF-Token``."""
    site: str = ""
    """The site that it is for: the header ``X-Frappe-Site-Name``, else ``Host`` without the port."""


def arguments(incoming: Incoming) -> dict[str, Any]:
    """Return the arguments of a request: a JSON body's, else those of query and form together.

    A JSON body, once there is one, makes Frappe ignore the query string (contract, section 1).

    Raises:
        FrappeError: the body is not JSON although it says so, or is no object.

    """
    if incoming.body and incoming.content_type.partition(";")[0].strip().lower() == "application/json":
        given = _json(incoming.body)
        if isinstance(given, list):
            return {"data": given}
        if not isinstance(given, dict):
            raise thrown("ValidationError", "Invalid request arguments")
        return given
    found = dict(parse_qsl(incoming.query, keep_blank_values=True))
    if incoming.content_type.startswith("application/x-www-form-urlencoded"):
        found.update(parse_qsl(incoming.body.decode(errors="replace"), keep_blank_values=True))
    return found


def document_data(given: dict[str, Any]) -> dict[str, Any]:
    """Return a document's fields from a request's arguments: all of them, or the JSON in ``data``.

    Raises:
        FrappeError: ``data`` is no JSON object.

    """
    data = given.get("data")
    if data is None:
        return given
    return as_object(data)


def as_object(given: object) -> dict[str, Any]:
    """Return an argument that is an object or JSON text of one.

    Raises:
        FrappeError: it is neither.

    """
    value = decoded(given) if isinstance(given, str) else given
    if not isinstance(value, dict):
        raise foreign("", "AttributeError", f"'{type(value).__name__}' object has no attribute 'get'")
    return value


def wants_page(incoming: Incoming) -> bool:
    """Whether errors go out as HTML: the client accepts text first."""
    return incoming.accept.startswith("text")


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _json_by_the_book(body)


def _json_by_the_book(body: bytes) -> Any:
    """Read what the quick decoder refused: Python's own takes NaN, and words its errors as Frappe shows them."""
    try:
        return json.loads(body)
    except json.JSONDecodeError as wrong:
        raise foreign("json.decoder", "JSONDecodeError", str(wrong)) from wrong
    except RecursionError as wrong:
        raise foreign("", "RecursionError", str(wrong)) from wrong
    except UnicodeDecodeError as wrong:
        raise foreign("", "UnicodeDecodeError", str(wrong)) from wrong
