"""The functions that ``/api/method`` may call. Arguments they do not know are dropped, as in Frappe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from lineside.standin.authentication import GUEST
from lineside.standin.call import Call
from lineside.standin.doings import WRITING, save_whole, set_docstatus
from lineside.standin.errors import FrappeError, foreign, not_whitelisted, thrown, unknown_method
from lineside.standin.filters import decoded
from lineside.standin.incoming import as_object
from lineside.standin.links import rename
from lineside.standin.records import Records
from lineside.standin.submission import CANCELLED, SUBMITTED

READING = frozenset({"GET", "POST", "PUT", "DELETE"})
MAX_MANY = 200
CHECKIN = "hrms.hr.doctype.employee_checkin.employee_checkin"


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
        raise not_whitelisted(name)
    if verb not in method.verbs:
        raise thrown("PermissionError", "Not permitted")
    return await method.function(call)


async def _ping(_call: Call) -> object:
    return "pong"


async def _logged_user(call: Call) -> object:
    return call.user


async def _roles(call: Call) -> object:
    user = str(call.arguments.get("uid") or call.user)
    return sorted(await call.documents.read(lambda records: records.roles(user)))


async def _time_zone(call: Call) -> object:
    return {"time_zone": call.documents.time_zone}


async def _has_permission(call: Call) -> object:
    """Tell what `lineside.standin.call.Call` would: there are no permissions but for guests."""
    call.needed("has_permission", "doctype")
    call.given("has_permission", "docname")
    return {"has_permission": True}


async def _get_list(call: Call) -> object:
    doctype = call.needed("get_list", "doctype")
    rows = await call.read(doctype, lambda records: records.list(doctype, call.arguments))
    return as_asked(rows, call.arguments)


async def _get_count(call: Call) -> object:
    doctype = call.needed("get_count", "doctype")
    asked = {"filters": call.arguments.get("filters")}
    return await call.read(doctype, lambda records: records.count(doctype, asked))


async def _get(call: Call) -> object:
    doctype = call.needed("get", "doctype")
    name = call.needed("get", "name")
    return await call.read(doctype, lambda records: records.get(doctype, name))


async def _insert(call: Call) -> object:
    document = as_object(call.given("insert", "doc"))
    doctype = str(document.get("doctype") or "")
    return await call.write(doctype, "create", lambda records: records.insert(doctype, document, call.user))


async def _insert_many(call: Call) -> object:
    given = call.given("insert_many", "docs")
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
    doctype = call.needed("set_value", "doctype")
    name = call.needed("set_value", "name")
    fieldname = call.given("set_value", "fieldname")
    if isinstance(fieldname, str) and not fieldname.startswith("{"):
        changes = {fieldname: call.arguments.get("value")}
    else:
        changes = as_object(fieldname)
    return await call.write(doctype, "write", lambda records: records.update(doctype, name, changes, call.user))


async def _get_value(call: Call) -> object:
    doctype = call.needed("get_value", "doctype")
    fieldname = call.given("get_value", "fieldname")
    filters = call.arguments.get("filters")
    if isinstance(filters, str) and not filters.lstrip().startswith(("{", "[")):
        filters = {"name": filters}
    if isinstance(fieldname, str) and not fieldname.lstrip().startswith("["):
        fieldname = [fieldname]
    asked = {"fields": fieldname, "filters": filters, "limit_page_length": 1}
    rows = await call.read(doctype, lambda records: records.list(doctype, asked))
    return as_asked(rows, call.arguments)[0] if rows else {}


async def _save(call: Call) -> object:
    document = as_object(call.given("save", "doc"))
    return await save_whole(call, document)


async def _submit(call: Call) -> object:
    document = as_object(call.given("submit", "doc"))
    return await save_whole(call, {**document, "docstatus": SUBMITTED})


async def _cancel(call: Call) -> object:
    doctype = call.needed("cancel", "doctype")
    name = call.needed("cancel", "name")
    return await set_docstatus(call, doctype, name, CANCELLED)


async def _bulk_update(call: Call) -> object:
    given = call.given("bulk_update", "docs")
    if not isinstance(given, str):
        raise foreign(
            "", "TypeError", f"the JSON object must be str, bytes or bytearray, not {type(given).__name__}"
        )
    documents = [as_object(each) for each in decoded(given)]

    def update(records: Records) -> dict[str, Any]:
        failed = []
        for each in documents:
            doctype, name = str(each.get("doctype") or ""), str(each.get("docname") or "")
            try:
                records.update(doctype, name, each, call.user)
            except FrappeError as error:
                failed.append({"doc": each, "exc": error.exception})
        return {"failed_docs": failed}

    doctype = str(documents[0].get("doctype") or "") if documents else ""
    return await call.write(doctype, "write", update)


async def _delete(call: Call) -> object:
    doctype = call.needed("delete", "doctype")
    name = call.needed("delete", "name")
    await call.write(doctype, "delete", lambda records: records.delete(doctype, name))
    return None


async def _rename(call: Call) -> object:
    doctype = call.needed("rename_doc", "doctype")
    old, new = call.needed("rename_doc", "old_name"), call.needed("rename_doc", "new_name")
    return await call.write(doctype, "write", lambda records: rename(records, doctype, old, new, call.user))


async def _user_info(call: Call) -> object:
    user = await call.documents.read(lambda records: records.get("User", call.user))
    return {"user": call.user, "user_type": user["user_type"], "installed_apps": ["frappe", "erpnext", "hrms"]}


async def _can_subscribe_doctype(call: Call) -> object:
    doctype = call.needed("can_subscribe_doctype", "doctype")
    await call.read(doctype, lambda records: records.doctype(doctype))
    return True


async def _can_subscribe_doc(call: Call) -> object:
    doctype = call.needed("can_subscribe_doc", "doctype")
    name = call.needed("can_subscribe_doc", "docname")
    await call.read(doctype, lambda records: records.get(doctype, name))
    return True


async def _add_log(call: Call) -> object:
    """HRMS's own way to check in, by what the device knows of the employee."""
    function, doctype = "add_log_based_on_employee_field", "Employee Checkin"
    value, time = call.needed(function, "employee_field_value"), call.needed(function, "timestamp")
    by = str(call.arguments.get("employee_fieldname") or "attendance_device_id")
    names = ("device_id", "log_type", "skip_auto_attendance", "latitude", "longitude")
    log = {"time": time, **{name: call.arguments.get(name) for name in names}}

    def insert(records: Records) -> dict[str, Any]:
        found = records.list("Employee", {"filters": {by: value}, "limit_page_length": 1})
        if not found:
            raise thrown(
                "ValidationError", f"No Employee found for the given employee field value. '{by}': {value}"
            )
        return records.insert(doctype, {**log, "employee": found[0]["name"]}, call.user)

    return await call.write(doctype, "create", insert)


def as_asked(rows: list[dict[str, Any]], asked: dict[str, Any]) -> list[dict[str, Any]] | list[list[Any]]:
    """Return a list's rows as objects, or as arrays when ``as_dict`` is false."""
    if str(asked.get("as_dict", "1")).lower() in {"0", "false"}:
        return [list(row.values()) for row in rows]
    return rows


METHODS = {
    "ping": Method(_ping, guests=True),
    "frappe.ping": Method(_ping, guests=True),
    "frappe.auth.get_logged_user": Method(_logged_user),
    "frappe.core.doctype.user.user.get_roles": Method(_roles),
    "frappe.client.get_time_zone": Method(_time_zone, guests=True),
    "frappe.client.get_list": Method(_get_list),
    "frappe.client.get_count": Method(_get_count),
    "frappe.client.has_permission": Method(_has_permission),
    "frappe.client.get": Method(_get),
    "frappe.client.insert": Method(_insert, WRITING),
    "frappe.client.insert_many": Method(_insert_many, WRITING),
    "frappe.client.set_value": Method(_set_value, WRITING),
    "frappe.client.get_value": Method(_get_value),
    "frappe.client.save": Method(_save, WRITING),
    "frappe.client.submit": Method(_submit, WRITING),
    "frappe.client.cancel": Method(_cancel, WRITING),
    "frappe.client.bulk_update": Method(_bulk_update, WRITING),
    "frappe.client.rename_doc": Method(_rename, WRITING),
    "frappe.client.delete": Method(_delete, frozenset({"POST", "DELETE"})),
    "frappe.realtime.get_user_info": Method(_user_info, guests=True),
    "frappe.realtime.can_subscribe_doctype": Method(_can_subscribe_doctype),
    "frappe.realtime.can_subscribe_doc": Method(_can_subscribe_doc),
    f"{CHECKIN}.add_log_based_on_employee_field": Method(_add_log),
}
