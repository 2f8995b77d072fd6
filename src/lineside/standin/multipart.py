"""A form with files (multipart/form-data, RFC 7578), taken apart. Pure."""

from __future__ import annotations

from email.message import Message

from msgspec import Struct

from lineside.standin.errors import thrown


class Part(Struct, frozen=True):
    """One field of a form."""

    content: bytes
    filename: str | None = None


def parse_form(content_type: str, body: bytes) -> dict[str, Part]:
    """Return a form's fields by name; the last of equal names counts.

    Raises:
        FrappeError: there is no boundary, or the body does not keep to it.

    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise thrown("ValidationError", "The form has no boundary")
    found: dict[str, Part] = {}
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    for piece in (b"\r\n" + body).split(delimiter)[1:]:
        if piece.startswith(b"--"):
            return found
        head, blank, content = piece.partition(b"\r\n\r\n")
        name, filename = _named(head)
        if not blank or name is None:
            break
        found[name] = Part(content, filename)
    raise thrown("ValidationError", "The form is malformed")


def _named(head: bytes) -> tuple[str | None, str | None]:
    for line in head.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            header = Message()
            header["content-disposition"] = value.strip().decode(errors="replace")
            name = header.get_param("name", header="content-disposition")
            return (name if isinstance(name, str) else None), header.get_filename()
    return None, None
