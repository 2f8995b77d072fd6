"""What is done to whole documents by name: saved, submitted, cancelled, and their own methods called."""

from __future__ import annotations

from typing import Any

from lineside.standin.call import Call
from lineside.standin.errors import not_whitelisted, thrown
from lineside.standin.incoming import as_object
from lineside.standin.submission import CANCELLED, SUBMITTED

WRITING = frozenset({"POST", "PUT"})

DOCUMENT_METHODS = {"submit": SUBMITTED, "cancel": CANCELLED}
"""What may be called of any document: the docstatus that it leads to."""


async def save_whole(call: Call, document: dict[str, Any]) -> dict[str, Any]:
    """Store a complete document: as a new one where it has no name, else in the place of the stored one.

    Raises:
        FrappeError: the stored one is not the one that was read, or Frappe refuses it.

    """
    doctype, name = str(document.get("doctype") or ""), document.get("name")
    if not name or document.get("__islocal"):
        return await call.write(doctype, "create", lambda records: records.insert(doctype, document, call.user))
    return await call.write(
        doctype, "write", lambda records: records.update(doctype, str(name), document, call.user, whole=True)
    )


async def set_docstatus(call: Call, doctype: str, name: str, docstatus: int) -> dict[str, Any]:
    """Submit or cancel a stored document, and return it.

    Raises:
        FrappeError: it is not there, or Frappe refuses the step.

    """
    changes = {"docstatus": docstatus}
    return await call.write(doctype, "write", lambda records: records.update(doctype, name, changes, call.user))


async def run_document_method(
    call: Call, doctype: str, name: str, method: str, verb: str = "POST"
) -> tuple[object, dict[str, Any]]:
    """Call a method of a stored document; return its result, and the document as it is then.

    Raises:
        FrappeError: there is no such document, or no method that may be called from outside.

    """
    document = await call.read(doctype, lambda records: records.get(doctype, name))
    docstatus = DOCUMENT_METHODS.get(method)
    if docstatus is None:
        raise not_whitelisted(method)
    if verb not in WRITING:
        raise thrown("PermissionError", "Not permitted")
    changed = await set_docstatus(call, doctype, document["name"], docstatus)
    return changed, changed


async def run_given_method(call: Call) -> tuple[object, dict[str, Any]]:
    """Call ``method`` of the document ``dt``, ``dn``, or of the one in ``docs``; see `run_document_method`.

    Raises:
        FrappeError: as that, and where an argument is missing.

    """
    method = call.needed("run_doc_method", "method")
    docs = call.arguments.get("docs") or call.arguments.get("document")
    if docs is None:
        doctype, name = call.needed("run_doc_method", "dt"), call.needed("run_doc_method", "dn")
        return await run_document_method(call, doctype, name, method)
    document = as_object(docs)
    docstatus = DOCUMENT_METHODS.get(method)
    doctype, name = str(document.get("doctype") or ""), str(document.get("name") or "")
    if docstatus is None:
        return await run_document_method(call, doctype, name, method)
    changed = await save_whole(call, {**document, "docstatus": docstatus})
    return changed, changed
