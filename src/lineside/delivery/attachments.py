"""Files that go with a document: what a route's templates make of a payload. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal

from msgspec import Struct

from lineside.delivery.templates import RenderError, Scope, Template
from lineside.model.ports import Attachment

Encoding = Literal["base64", "text"]

LONGEST_NAME = 120
"""Characters. Frappe keeps 140, of which it needs a few where the name is taken."""
LARGEST_NAME = 240
"""Bytes of UTF-8: a file system takes 255."""

_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_SEPARATORS = frozenset("/\\")


class AttachmentTemplate(Struct, frozen=True):
    """One file of a route's documents, compiled. Has no state."""

    path: str
    """Its key path, for errors."""
    name: Template
    content: Template
    encoding: Encoding = "base64"
    """How the content stands in the payload."""
    private: bool = True
    field: str = ""
    optional: bool = False
    """An event without the content has no such file, and is delivered all the same."""

    def render(self, scope: Scope) -> Attachment | None:
        """Return the file of a record; None where it has none and need not.

        Raises:
            RenderError: there is no content, it is not in its encoding, or the name is no file's name.

        """
        content = self._content(scope)
        if not content:
            if self.optional:
                return None
            raise RenderError(self.content.path, "there is no content; optional = true would do without the file")
        return Attachment(self._name(scope), content, self.private, self.field)

    def _content(self, scope: Scope) -> bytes | None:
        try:
            value = self.content.render(scope)
        except RenderError as wrong:
            if wrong.missing and self.optional:
                return None
            raise
        if value is None:
            return None
        if not isinstance(value, str):
            raise RenderError(self.content.path, f"the content of a file is text, not a {type(value).__name__}")
        return value.encode() if self.encoding == "text" else self._decoded(value)

    def _decoded(self, text: str) -> bytes:
        # Browsers and cameras send data URLs, mail programs break lines; nothing else is dropped in silence.
        bare = "".join(text[_data(text) :].split())
        try:
            return base64.b64decode(bare, validate=True)
        except (binascii.Error, ValueError) as wrong:
            raise RenderError(self.content.path, "the content is no Base64") from wrong

    def _name(self, scope: Scope) -> str:
        name = self.name.render(scope)
        if not isinstance(name, str) or not name.strip():
            raise RenderError(self.name.path, "a file needs a name")
        name = name.strip()
        if name in {".", ".."} or _SEPARATORS & set(name) or not name.isprintable():
            raise RenderError(self.name.path, "a file's name has no slash, no backslash and no control character")
        if len(name) > LONGEST_NAME or len(name.encode()) > LARGEST_NAME:
            raise RenderError(
                self.name.path, f"a file's name has at most {LONGEST_NAME} characters and {LARGEST_NAME} bytes"
            )
        return name


def _data(text: str) -> int:
    """Return where the data begin."""
    url = _DATA_URL.match(text)
    return 0 if url is None else url.end()
