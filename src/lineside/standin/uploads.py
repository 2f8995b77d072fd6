"""Files: ``/api/method/upload_file`` stores one with a File document."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Any

from lineside.standin.authentication import GUEST
from lineside.standin.call import Call
from lineside.standin.errors import thrown
from lineside.standin.incoming import Incoming
from lineside.standin.multipart import Part, parse_form
from lineside.standin.records import Records


async def store(incoming: Incoming, call: Call) -> dict[str, Any]:
    """Store the file of a multipart form, or the address in ``file_url``, and return its File document.

    Raises:
        FrappeError: guests may not, there is no file, or the form is malformed.

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

    def insert(records: Records) -> dict[str, Any]:
        if file is not None:
            fields = _kept(records, file, given)
        else:
            fields = {"file_url": address, "file_name": given.get("filename") or PurePosixPath(address).name}
        return records.insert("File", {**document, **fields}, call.user)

    return await call.write("File", "create", insert)


def read_content(records: Records, url: str) -> bytes | None:
    """Return the content of the file at a path of the site, None where there is none."""
    found = records.connection.execute("SELECT content FROM file_content WHERE url = ?", (url,)).fetchone()
    return None if found is None else found[0]


def _kept(records: Records, file: Part, given: dict[str, Any]) -> dict[str, Any]:
    """Keep the content; a name that is taken by other content gets a part of the digest."""
    name = PurePosixPath((file.filename or str(given.get("filename") or "")).replace("\\", "/")).name or "file"
    folder = "/private/files" if str(given.get("is_private") or "0") not in {"0", "false"} else "/files"
    digest = hashlib.md5(file.content, usedforsecurity=False).hexdigest()
    url = f"{folder}/{name}"
    if read_content(records, url) not in {None, file.content}:
        path = PurePosixPath(name)
        url = f"{folder}/{path.stem}{digest[-6:]}{path.suffix}"
    records.connection.execute(
        "INSERT OR REPLACE INTO file_content (url, content) VALUES (?, ?)", (url, file.content)
    )
    kind = PurePosixPath(name).suffix[1:].upper()
    return {
        "file_name": PurePosixPath(url).name,
        "file_url": url,
        "file_type": kind,
        "file_size": len(file.content),
        "content_hash": digest,
    }
