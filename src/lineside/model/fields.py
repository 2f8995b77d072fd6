"""Field paths into a JSON payload: ``order.customer`` and ``items.0.code``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

MISSING: object = object()
"""What `lookup` returns where a payload has no such field (None is a value)."""


def lookup(payload: object, path: str) -> object:
    """Return the value at a dotted path, list items by their index, or `MISSING`."""
    value = payload
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part, MISSING)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.isdecimal():
            index = int(part)
            value = value[index] if index < len(value) else MISSING
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def key_text(value: object) -> str | None:
    """Return a payload's value as the text of a key; None for MISSING, null and the empty string.

    A string stands for itself, so that ``"00123"`` and ``123`` are different keys; anything else
    is its JSON text.
    """
    if value is MISSING or value is None or value == "":
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
