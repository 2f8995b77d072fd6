"""What templates may result in: JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import GeneratorType

from jinja2 import Undefined

from lineside.delivery.filters import LARGEST, BadValue, demand

MAX_TEXT = 1_048_576
"""Characters that one rendered text may have."""
MAX_CONTENT = LARGEST
"""Characters that a file's content may have as text: in Base64 16.5 MiB, well inside a request to Frappe."""


def plain(value: object, longest: int = MAX_TEXT) -> object:
    """Return a copy made of None, bools, ints, finite floats, str, lists and dicts only.

    Args:
        value: what a template resulted in.
        longest: characters that a text in it may have.

    Raises:
        BadValue: something else is in it, or too large.
        jinja2.UndefinedError: it is a field that the payload does not have.

    """
    match value:
        case None | bool() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise BadValue("the number is too large")
            return value
        case str():
            return _plain_text(value, longest)
        case Undefined():
            demand(value)
        case Mapping():
            return {_plain_key(key): plain(item, longest) for key, item in value.items()}
        case list() | tuple() | GeneratorType():
            return [plain(item, longest) for item in value]
    raise BadValue(f"the result is a {type(value).__name__}, which has no place in a document")


def _plain_text(text: str, longest: int) -> str:
    if len(text) > longest:
        raise BadValue(f"the text has more than {longest:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError as wrong:
        raise BadValue("the text is no Unicode: it holds half of a surrogate pair") from wrong
    return str.__str__(text)


def _plain_key(key: object) -> str:
    if not isinstance(key, str):
        raise BadValue(f"a key of the result is a {type(key).__name__}; keys are text")
    return _plain_text(key, MAX_TEXT)
