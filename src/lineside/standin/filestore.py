"""The contents of files, and what a File document says of its own; as Frappe's File does before it is inserted."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import PurePosixPath
from sqlite3 import Connection
from typing import Any

from lineside.standin.errors import foreign, raised, thrown
from lineside.standin.settings import Settings

OFF = frozenset({"0", "false", "False"})
"""How a form or JSON spells a switch that is off."""
SUFFIX = 6
"""Digits of the content's digest that tell files of one name apart."""


def received(connection: Connection, given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the fields of a new File: its content, where it is given, is kept and described.

    Args:
        connection: of the transaction in which the document is stored.
        given: its fields; ``content`` is bytes or text, which is Base64 where ``decode`` is set.
        settings: of the site.

    Raises:
        FrappeError: the file is too large, an image cannot be read, or there is neither content nor address.

    """
    fields = {name: value for name, value in given.items() if name not in {"content", "decode"}}
    if str(given.get("is_folder") or "0") not in OFF:
        return fields
    content = _decoded(given.get("content") or b"", given.get("decode"))
    address = str(given.get("file_url") or "")
    name = str(given.get("file_name") or PurePosixPath(address).name).replace("/", "")
    if not name:
        raise raised("MandatoryError", "Fields `file_name` or `file_url` must be set for File")
    fields["file_name"] = name
    if not content:
        if not address:
            raise thrown("ValidationError", f"There is some problem with the file url: {name}")
        return fields
    if mimetypes.guess_type(name)[0] == "image/jpeg" and settings.strip_exif_metadata_from_uploaded_images:
        content = without_exif(content)
    if len(content) > settings.max_file_size:
        limit = settings.max_file_size / 1024**2
        raise thrown("MaxFileSizeReachedError", f"File size exceeded the maximum allowed size of {limit} MB")
    private = str(given.get("is_private") or "0") not in OFF
    return fields | _kept(connection, name, content, private=private)


def read_content(connection: Connection, url: str) -> bytes | None:
    """Return the content of the file at a path of the site, None where there is none."""
    found = connection.execute("SELECT content FROM file_content WHERE url = ?", (url,)).fetchone()
    return None if found is None else found[0]


def without_exif(content: bytes) -> bytes:
    """Return a JPEG without its APP1 segments, where cameras write who took it, when and where.

    Raises:
        FrappeError: it is no JPEG.

    """
    if not content.startswith(b"\xff\xd8"):
        raise foreign("PIL", "UnidentifiedImageError", "cannot identify image file")
    kept, at = [content[:2]], 2
    while len(content) >= at + 4 and content[at] == 0xFF and content[at + 1] not in {0xDA, 0xD9}:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        if content[at + 1] != 0xE1:
            kept.append(content[at:end])
        at = end
    return b"".join([*kept, content[at:]])


def _decoded(content: bytes | str, encoded: object) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    if str(encoded or "0") in OFF:
        return data
    # A data URL's comma ends what comes before the data; padding may be missing.
    return base64.b64decode(data.rpartition(b",")[2] + b"===")


def _kept(connection: Connection, name: str, content: bytes, *, private: bool) -> dict[str, Any]:
    """Keep the content once; a name that is taken by other content gets a part of the digest."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    same = connection.execute(
        'SELECT "file_url" FROM "tabFile" WHERE "content_hash" = ? AND "is_private" = ? LIMIT 1',
        (digest, int(private)),
    ).fetchone()
    if same is not None:
        url = str(same[0])
    else:
        folder = "/private/files" if private else "/files"
        path = PurePosixPath(name)
        if read_content(connection, f"{folder}/{name}") is not None:
            name = f"{path.stem}{digest[-SUFFIX:]}{path.suffix}"
        url = f"{folder}/{name}"
        connection.execute("INSERT OR REPLACE INTO file_content (url, content) VALUES (?, ?)", (url, content))
    return {
        "file_name": name,
        "file_url": url,
        "file_type": PurePosixPath(name).suffix[1:].upper(),
        "file_size": len(content),
        "content_hash": digest,
        "is_private": int(private),
    }
