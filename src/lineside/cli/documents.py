"""Documents as a person reads them on a terminal."""

from __future__ import annotations

from difflib import ndiff

import msgspec

from lineside.model.wording import plain


def document_lines(document: object) -> list[str]:
    """Return a document as indented JSON, its keys in their order."""
    return _lines(msgspec.json.encode(document))


def difference_lines(expected: object, got: object) -> list[str]:
    """Return two documents as one: ``-`` before what only is expected, ``+`` before what only came."""
    one, other = (_lines(msgspec.json.encode(value, order="sorted")) for value in (expected, got))
    return [line for line in ndiff(one, other) if not line.startswith("?")]


def _lines(encoded: bytes) -> list[str]:
    return [plain(line) for line in msgspec.json.format(encoded, indent=2).decode().split("\n")]
