"""How pydantic's findings read to the person who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lineside.model.wording import child_path, did_you_mean

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "tuple_type": "an array",
}


def complaints(wrong: ValidationError, model: type[BaseModel], path: str) -> list[str]:
    """Return one line for each error, with its key path below ``path``. Secrets are never quoted."""
    lines = []
    for error in wrong.errors(include_url=False):
        where = path
        for part in error["loc"]:
            where = child_path(where, part)
        lines.append(f"{where}: {_say(error, model)}")
    return lines


def _say(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] in _EXPECTED:
        return f"expected {_EXPECTED[error['type']]}, got {kind(error['input'])}"
    say = _SAYINGS.get(error["type"])
    return say(error, model) if say is not None else error["msg"]


def _unknown_key(error: ErrorDetails, model: type[BaseModel]) -> str:
    return f"unknown key{did_you_mean(str(error['loc'][-1]), _table(model, error['loc'][:-1]).model_fields)}"


def _table(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the table at a place inside a table, as far as it is one."""
    for part in place:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inside = [] if field is None else [field.annotation, *get_args(field.annotation)]
        model = next((each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)), model)
    return model


def _missing(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["loc"] != ("type",):
        return "is missing"
    return f"is missing; known: {', '.join(get_args(model.model_fields['type'].annotation))}"


def _not_listed(error: ErrorDetails, _: type[BaseModel]) -> str:
    known = re.findall("'([^']*)'", error["ctx"]["expected"])
    return not_listed(str(error["loc"][-1]), error["input"], known)


def not_listed(key: str, value: object, known: list[str]) -> str:
    """Return what to say of a value that is none of those known for a key."""
    if not isinstance(value, str):
        return f"expected one of {', '.join(known)}, got {kind(value)}"
    return f'unknown {key} "{value}"{did_you_mean(value, known)}; known: {", ".join(known)}'


_SAYINGS: dict[str, Callable[[ErrorDetails, type[BaseModel]], str]] = {
    "extra_forbidden": _unknown_key,
    "literal_error": _not_listed,
    "missing": _missing,
    "value_error": lambda error, _: str(error["ctx"]["error"]),
    "greater_than": lambda error, _: f"must be more than {error['ctx']['gt']:g}",
    "greater_than_equal": lambda error, _: f"must be at least {error['ctx']['ge']}",
    "less_than_equal": lambda error, _: f"must be at most {error['ctx']['le']}",
    "string_too_short": lambda error, _: "must not be empty",
    "string_too_long": lambda error, _: f"must have at most {error['ctx']['max_length']} characters",
    "too_short": lambda error, _: "must not be empty",
    "string_pattern_mismatch": lambda error, _: f'"{error["input"]}" does not match {error["ctx"]["pattern"]}',
}


def kind(value: object) -> str:
    """Name the kind of a TOML value."""
    return next((name for kinds, name in _KINDS if isinstance(value, kinds)), f"a {type(value).__name__}")


_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((str,), "text"),
    ((bool,), "a boolean"),
    ((int,), "a whole number"),
    ((float,), "a number"),
    ((list, tuple), "an array"),
    ((dict,), "a table"),
    ((datetime, date, time), "a date or time"),
)
