"""The functions that ``/api/method`` may call. Arguments they do not know are dropped, as in Frappe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from lineside.standin.authentication import GUEST
from lineside.standin.call import Call
from lineside.standin.errors import missing_argument, thrown, unknown_method
from lineside.standin.filters import decoded
from lineside.standin.incoming import as_object
from lineside.standin.records import Records

READING = frozenset({"GET", "POST", "PUT", "DELETE"})
WRITING = frozenset({"POST", "PUT"})
MAX_MANY = 200


class Method(Struct, frozen=True):
    """One function, the verbs it may be called with, and whether guests may."""

    function: Callable[[Call], Awaitable[object]]
    verbs: frozenset[str] = READING
    guests: bool = False


async def call_method(name: str, verb: str, call: Call) -> object:
    """Call a function by its dotted path and return its result.

    Raises:
        FrappeError: there is none, it may not be called so, or it failed.

    """
    method = METHODS.get(name)
    if method is None:
        raise unknown_method(name)
    if call.user == GUEST and not method.guests:
        raise thrown(
            "PermissionError",
            f"You are not permitted to access this resource. Function <strong>{name}</strong> is not whitelisted.",
            "Method Not Allowed",
        )
    if verb not in method.verbs:
        raise thrown("PermissionError", "Not permitted")
    return await method.function(call)


async def _ping(_call: Call) -> object:
    return "pong"


async def _logged_user(call: Call) -> object:
    return call.user


async def _time_zone(call: Call) -> object:
    return {"time_zone": call.documents.time_zone}


async def _get_list(call: Call) -> object:
    doctype = _needed(call, "get_list", "doctype")
    rows = await call.read(doctype, lambda records: records.list(doctype, call.arguments))
    return as_asked(rows, call.arguments)


async def _get_count(call: Call) -> object:
    doctype = _needed(call, "get_count", "doctype")
    asked = {"filters": call.arguments.get("filters")}
    return await call.read(doctype, lambda records: records.count(doctype, asked))


async def _get(call: Call) -> object:
    doctype = _needed(call, "get", "doctype")
    name = _needed(call, "get", "name")
    return await call.read(doctype, lambda records: records.get(doctype, name))


async def _insert(call: Call) -> object:
    document = as_object(_given(call, "insert", "doc"))
    doctype = str(document.get("doctype") or "")
    return await call.write(doctype, "create", lambda records: records.insert(doctype, document, call.user))


async def _insert_many(call: Call) -> object:
    given = _given(call, "insert_many", "docs")
    documents = decoded(given) if isinstance(given, str) else given
    if not isinstance(documents, list):
        documents = [documents]
    if len(documents) > MAX_MANY:
        raise thrown("ValidationError", f"Only {MAX_MANY} inserts allowed in one request")
    objects = [as_object(document) for document in documents]

    def insert(records: Records) -> list[str]:
        return [records.insert(str(each.get("doctype") or ""), each, call.user)["name"] for each in objects]

    doctype = str(objects[0].get("doctype") or "") if objects else ""
    return await call.write(doctype, "create", insert)


async def _set_value(call: Call) -> object:
    doctype = _needed(call, "set_value", "doctype")
    name = _needed(call, "set_value", "name")
    fieldname = _given(call, "set_value", "fieldname")
    if isinstance(fieldname, str) and not fieldname.startswith("{"):
        changes = {fieldname: call.arguments.get("value")}
    else:
        changes = as_object(fieldname)
    return await call.write(doctype, "write", lambda records: records.update(doctype, name, changes, call.user))


async def _delete(call: Call) -> object:
    doctype = _needed(call, "delete", "doctype")
    name = _needed(call, "delete", "name")
    await call.write(doctype, "delete", lambda records: records.delete(doctype, name))
    return None


def as_asked(rows: list[dict[str, Any]], asked: dict[str, Any]) -> list[dict[str, Any]] | list[list[Any]]:
    """Return a list's rows as objects, or as arrays when ``as_dict`` is false."""
    if str(asked.get("as_dict", "1")).lower() in {"0", "false"}:
        return [list(row.values()) for row in rows]
    return rows


def _given(call: Call, function: str, argument: str) -> object:
    value = call.arguments.get(argument)
    if value is None:
        raise missing_argument(function, argument)
    return value


def _needed(call: Call, function: str, argument: str) -> str:
    return str(_given(call, function, argument))


METHODS = {
    "ping": Method(_ping, guests=True),
    "frappe.ping": Method(_ping, guests=True),
    "frappe.auth.get_logged_user": Method(_logged_user),
    "frappe.client.get_time_zone": Method(_time_zone, guests=True),
    "frappe.client.get_list": Method(_get_list),
    "frappe.client.get_count": Method(_get_count),
    "frappe.client.get": Method(_get),
    "frappe.client.insert": Method(_insert, WRITING),
    "frappe.client.insert_many": Method(_insert_many, WRITING),
    "frappe.client.set_value": Method(_set_value, WRITING),
    "frappe.client.delete": Method(_delete, frozenset({"POST", "DELETE"})),
}
