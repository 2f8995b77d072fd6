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
    "model_type": "a table",
    "tuple_type": "an array",
}


def complaints(wrong: ValidationError, model: type[BaseModel], path: str) -> list[str]:
    """Return one line for each error, with its key path below ``path``. Secrets are never quoted."""
    lines = []
    for error in wrong.errors(include_url=False):
        if error["type"] == "default_factory_not_called":
            # It depends on a value that is wrong, which is told.
            continue
        where = path
        for part in _written(model, error["loc"]):
            where = child_path(where, part)
        if error["type"].startswith("union_tag"):
            where = child_path(where, "type")
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
    return _walk(model, place)[0]


def _written(model: type[BaseModel], place: tuple[int | str, ...]) -> list[int | str]:
    """Return a place as the file has it: where a table may be of several kinds pydantic adds its kind."""
    return _walk(model, place)[1]


def _walk(model: type[BaseModel], place: tuple[int | str, ...]) -> tuple[type[BaseModel], list[int | str]]:
    kinds: dict[int | str, type[BaseModel]] = {}
    written = []
    for part in place:
        if part in kinds:
            model, kinds = kinds[part], {}
            continue
        written.append(part)
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inside = [] if field is None else [field.annotation, *get_args(field.annotation)]
        tables = [each for each in inside if isinstance(each, type) and issubclass(each, BaseModel)]
        kinds = {_kind_of(table): table for table in tables} if len(tables) > 1 else {}
        model = tables[0] if tables else model
    return model, written


def _kind_of(table: type[BaseModel]) -> str:
    name: str = get_args(table.model_fields["type"].annotation)[0]
    return name


def _missing(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["loc"] != ("type",):
        return "is missing"
    return f"is missing; known: {', '.join(get_args(model.model_fields['type'].annotation))}"


def _not_listed(error: ErrorDetails, model: type[BaseModel]) -> str:
    known = re.findall("'([^']*)'", error["ctx"]["expected"])
    key = str(error["loc"][-1])
    # In a table by names of the user's own, the key is none of ours.
    ours = key in _table(model, error["loc"][:-1]).model_fields
    return not_listed(key if ours else "value", error["input"], known)


def _unknown_kind(error: ErrorDetails, _: type[BaseModel]) -> str:
    return not_listed("type", error["ctx"]["tag"], re.findall("'([^']*)'", error["ctx"]["expected_tags"]))


def _no_kind(error: ErrorDetails, model: type[BaseModel]) -> str:
    field = model.model_fields[str(error["loc"][-1])]
    return f"is missing; known: {', '.join(map(_kind_of, get_args(field.annotation)))}"


def not_listed(key: str, value: object, known: list[str]) -> str:
    """Return what to say of a value that is none of those known for a key."""
    if not isinstance(value, str):
        return f"expected one of {', '.join(known)}, got {kind(value)}"
    return f'unknown {key} "{value}"{did_you_mean(value, known)}; known: {", ".join(known)}'


_SAYINGS: dict[str, Callable[[ErrorDetails, type[BaseModel]], str]] = {
    "extra_forbidden": _unknown_key,
    "literal_error": _not_listed,
    "missing": _missing,
    "union_tag_invalid": _unknown_kind,
    "union_tag_not_found": _no_kind,
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
