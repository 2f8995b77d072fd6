"""Filters of lists, in every form Frappe takes, as conditions in SQL. Pure.

Text compares as on the measured site: without regard to case (ASCII letters) and to spaces around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from lineside.standin.doctypes import TIME_TYPES, DocType, Field
from lineside.standin.errors import foreign, thrown, unknown_column
from lineside.standin.values import filter_value

COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<="}
OPERATORS = (*COMPARISONS, "like", "not like", "in", "not in", "is", "between")

EXACT = ("", "")
FOLDED = ("trim(", ") COLLATE NOCASE")


class Condition(Struct, frozen=True):
    """One comparison of a field."""

    field: str
    operator: str
    value: Any


class Clause(Struct, frozen=True):
    """SQL with the values to bind."""

    sql: str
    values: tuple[Any, ...] = ()


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def column(field: Field) -> str:
    """Return a column as it is compared, grouped by and held unique; an index on exactly this is used."""
    before, after = EXACT if field.is_number or field.fieldtype in TIME_TYPES else FOLDED
    return f"{before}{quoted(field.fieldname)}{after}"


def parse_filters(given: object, doctype: str) -> list[Condition]:
    """Return the conditions of a ``filters`` or ``or_filters`` argument.

    It may be JSON text, ``{field: value}``, ``{field: [operator, value]}``, or a list of
    ``[field, operator, value]``, ``[doctype, field, operator, value]`` and such objects.

    Raises:
        FrappeError: it has another form, or names an operator that does not exist.

    """
    if isinstance(given, str):
        given = decoded(given) if given else None
    if not given:
        return []
    if isinstance(given, dict):
        return [_pair(field, value) for field, value in given.items()]
    if not isinstance(given, list):
        raise _malformed(given)
    conditions: list[Condition] = []
    for each in given:
        if isinstance(each, dict):
            conditions.extend(_pair(field, value) for field, value in each.items())
        else:
            conditions.append(_listed(each, doctype))
    return conditions


def where(doctype: DocType, every: Iterable[Condition], some: Iterable[Condition] = ()) -> Clause:
    """Return the ``WHERE`` clause of filters and or_filters, empty when there are none.

    Raises:
        FrappeError: a field does not exist, or a value does not fit its operator.

    """
    terms = [_term(doctype, condition) for condition in every]
    choices = [_term(doctype, condition) for condition in some]
    if choices:
        joined = " OR ".join(term.sql for term in choices)
        terms.append(Clause(f"({joined})", tuple(value for term in choices for value in term.values)))
    if not terms:
        return Clause("")
    return Clause(
        " WHERE " + " AND ".join(term.sql for term in terms),
        tuple(value for term in terms for value in term.values),
    )


def decoded(text: str) -> Any:
    """Return JSON text's value.

    Raises:
        FrappeError: it is not JSON.

    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as wrong:
        raise foreign("json.decoder", "JSONDecodeError", str(wrong)) from wrong


def _pair(field: str, value: object) -> Condition:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0].lower() in OPERATORS:
        return _condition(field, value[0], value[1])
    return _condition(field, "in" if isinstance(value, list) else "=", value)


def _listed(given: object, doctype: str) -> Condition:
    if not isinstance(given, list) or not 3 <= len(given) <= 4:
        raise _malformed(given)
    *of, field, operator, value = given
    if of and of[0] != doctype:
        raise thrown("ValidationError", f"Cannot filter {doctype} by a field of {of[0]}")
    return _condition(field, operator, value)


def _condition(field: object, operator: object, value: object) -> Condition:
    if not isinstance(field, str) or not isinstance(operator, str) or operator.lower() not in OPERATORS:
        raise thrown("ValidationError", f"Operator must be one of {', '.join(OPERATORS)}")
    return Condition(field.strip("`"), operator.lower(), value)


def _malformed(given: object) -> Exception:
    return thrown(
        "ValidationError", f"Filter must have 4 values (doctype, fieldname, operator, value): {json.dumps(given)}"
    )


def _term(doctype: DocType, condition: Condition) -> Clause:
    field = doctype.by_name.get(condition.field)
    if field is None:
        raise unknown_column(f"tab{doctype.name}.{condition.field}", "where clause")
    compared = column(field)
    present = compared if field.is_number else f"coalesce({quoted(field.fieldname)}, '')"
    if not field.is_number and compared != quoted(field.fieldname):
        present = f"trim({present}) COLLATE NOCASE"
    operator, value = condition.operator, condition.value
    if operator == "is":
        return _is_set(field, present, value)
    if operator in {"in", "not in"}:
        return _one_of(field, compared if operator == "in" else present, operator, value)
    if operator == "between":
        low, high = _bounds(field, value)
        return Clause(f"{compared} BETWEEN ? AND ?", (low, high))
    if operator in {"like", "not like"}:
        return Clause(f"{present} {operator.upper()} ? ESCAPE '\\'", (str(value),))
    bound = filter_value(field, value)
    if bound in {None, ""}:
        return Clause(f"{present} {COMPARISONS[operator]} ?", ("",))
    return Clause(f"{present if operator == '!=' else compared} {COMPARISONS[operator]} ?", (bound,))


def _is_set(field: Field, present: str, value: object) -> Clause:
    if value not in {"set", "not set"}:
        raise thrown("ValidationError", "Value for 'is' must be 'set' or 'not set'")
    empty = "0" if field.is_number else "''"
    return Clause(f"{present} {'!=' if value == 'set' else '='} {empty}")


def _one_of(field: Field, compared: str, operator: str, value: object) -> Clause:
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list):
        values = [values]
    bound = [filter_value(field, each) for each in values]
    if operator == "in" and not field.is_number and any(each in {None, ""} for each in bound):
        compared = f"coalesce({quoted(field.fieldname)}, '')"
        bound = [each or "" for each in bound]
    # One bound list keeps the statement the same for any number of values.
    return Clause(
        f"{compared} {operator.upper()} (SELECT value FROM json_each(?))", (msgspec.json.encode(bound).decode(),)
    )


def _bounds(field: Field, value: object) -> tuple[object, object]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or len(value) != 2:
        raise thrown("ValidationError", "Value for 'between' must be two values")
    low, high = (filter_value(field, each) for each in value)
    if field.fieldtype == "Datetime" and len(str(value[1]).strip()) <= len("2026-01-31"):
        high = str(high).replace("00:00:00.000000", "23:59:59.999999")
    return low, high
