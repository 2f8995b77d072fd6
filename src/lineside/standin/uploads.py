"""Files: ``/api/method/upload_file`` stores one with a File document."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lineside.standin.authentication import GUEST
from lineside.standin.call import Call
from lineside.standin.errors import thrown
from lineside.standin.incoming import Incoming
from lineside.standin.multipart import parse_form


async def store(incoming: Incoming, call: Call) -> dict[str, Any]:
    """Store the file of a multipart form, or the address in ``file_url``, and return its File document.

    Raises:
        FrappeError: guests may not, there is no file, the form is malformed, or Frappe refuses the file.

    """
    if call.user == GUEST or incoming.verb not in {"POST", "PUT"}:
        raise thrown("PermissionError", "Not permitted")
    given, file = dict(call.arguments), None
    if incoming.content_type.lower().startswith("multipart/form-data"):
        form = parse_form(incoming.content_type, incoming.body)
        file = form.pop("file", None)
        given |= {name: part.content.decode(errors="replace") for name, part in form.items()}
    address = str(given.get("file_url") or "")
    if file is None and not address:
        raise thrown("ValidationError", "There is no file in the form")
    document = {
        "is_private": given.get("is_private"),
        "folder": given.get("folder") or "Home",
        "attached_to_doctype": given.get("doctype"),
        "attached_to_name": given.get("docname"),
        "attached_to_field": given.get("fieldname"),
    }
    if file is None:
        document |= {"file_url": address, "file_name": given.get("filename") or PurePosixPath(address).name}
    else:
        name = (file.filename or str(given.get("filename") or "")).replace("\\", "/")
        document |= {"file_name": PurePosixPath(name).name or "file", "content": file.content}
    return await call.write("File", "create", lambda records: records.insert("File", document, call.user))
