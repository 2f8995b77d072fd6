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


def plain_lines(text: str) -> str:
    """Return text of several lines, each of them `plain`."""
    return "\n".join(plain(line) for line in text.split("\n"))


def json_line(value: object) -> str:
    """Return a value as one line of JSON, which no terminal takes for a command either."""
    text = msgspec.json.encode(value).decode()
    return text if text.isprintable() else "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    # RFC 8259, section 7: what is not in the first plane is two.
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _lines(encoded: bytes) -> list[str]:
    return [plain(line) for line in msgspec.json.format(encoded, indent=2).decode().split("\n")]
