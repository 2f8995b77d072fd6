"""How errors name places and suggest spellings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import reduce

import msgspec

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def key_path(*parts: str | int) -> str:
    """Return the place of a value in a TOML file: ``routes.checkin.document.items[0]."item code"``."""
    return reduce(child_path, parts, "")


def child_path(parent: str, part: str | int) -> str:
    """Return the place of an entry of the table or array at ``parent``, itself such a place."""
    if isinstance(part, int):
        return f"{parent}[{part}]"
    key = part if _BARE.fullmatch(part) else msgspec.json.encode(part).decode().replace("\x7f", "\\u007f")
    return f"{parent}.{key}" if parent else key


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "listen"?`` where a known word is close to ``word``, else nothing."""
    close = get_close_matches(word, sorted(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def plain(text: str) -> str:
    """Return text that no terminal takes for a command: what cannot be printed is escaped."""
    return text if text.isprintable() else "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
