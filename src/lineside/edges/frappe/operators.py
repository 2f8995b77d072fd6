"""Conditions that an operator gives for documents, as Frappe's lists take them. Pure."""

from __future__ import annotations

from typing import Any

COMPARING = ("=", "!=", "<", "<=", ">", ">=", "like", "not like")
AMONG = ("in", "not in")
OPERATORS = (*COMPARING, *AMONG, "between", "is")
_ORDINAL = (str, int, float)


def condition(field: str, given: Any) -> tuple[str, str, Any]:
    """Return the condition on a field: a value that it must have, or an array of an operator and a value.

    Raises:
        ValueError: it is neither.

    """
    operator, value = given if isinstance(given, list) and len(given) == 2 else ("=", given)
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ValueError(f"unknown operator {operator!r}; there are {', '.join(OPERATORS)}")
    if (
        operator in AMONG
        and isinstance(value, list)
        and value
        and all(isinstance(each, _ORDINAL) for each in value)
    ):
        return field, operator, [_plain(each) for each in value]
    if operator == "between" and isinstance(value, list) and len(value) == 2:
        if all(isinstance(each, _ORDINAL) for each in value):
            return field, operator, [_plain(each) for each in value]
    elif operator == "is" and value in ("set", "not set"):
        return field, operator, value
    elif operator in COMPARING and isinstance(value, _ORDINAL):
        return field, operator, _plain(value)
    raise ValueError(_EXPECTED.get(operator, "expected text or a number; a date is written as text"))


_EXPECTED = {
    "in": "`in` takes an array of values",
    "not in": "`not in` takes an array of values",
    "between": "`between` takes an array of two values",
    "is": '`is` takes "set" or "not set"',
}


def _plain(value: str | float) -> str | float:
    # Frappe's checkboxes are 0 and 1.
    return int(value) if isinstance(value, bool) else value
