"""What Frappe would drop, bend or stumble over in a document, told before it is sent. Pure.

Frappe drops a field it does not know, makes 0 of a text in a number, and answers a date it cannot read with a
500 that may mean anything (contract, section 10). What it refuses with clear words of its own is left to it
where only it can know: its code fills mandatory fields of the standard DocTypes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from typing import Any

import msgspec

from lineside.edges.frappe.doctypes import LAYOUT, TABLES, DocType, Field
from lineside.model.wording import child_path, did_you_mean

OWN = frozenset({"creation", "modified", "modified_by", "owner"})
"""Standard fields that Frappe writes itself, whatever is sent."""
FREE = frozenset({"docstatus", "idx"})
"""Standard fields that may be sent with any document."""
ROW = FREE | {"doctype", "name", "parent", "parentfield", "parenttype"}
"""Standard fields that may be sent with a row of a child table."""
NAMED = frozenset({"__newname", "name"})
"""They name a document, where its DocType lets one choose."""

LINE = 140
"""Characters of what lies in a varchar column, where the field says nothing else."""
TEXT_BYTES = 65_535
FEW = 10
"""So many options of a Select are named."""
LARGEST = 1e12
"""The decimal columns hold 21 digits, nine of them after the point."""

MOMENT = re.compile(
    r"\s*(?P<year>\d{4})[-/.]?(?P<month>\d\d?)[-/.]?(?P<day>\d\d?)"
    r"(?:[T ]+(?P<hour>\d\d?):(?P<minute>\d\d?)(?::(?P<second>\d\d?)(?:\.\d*)?)?)?\s*"
)
OFFSET = re.compile(r"\s*\d{4}.*\d\s*(?:[Zz]|[+-]\d\d:?\d\d)\s*")
TIME = re.compile(r"\s*(?P<hour>\d{1,3}):(?P<minute>\d\d?)(?::(?P<second>\d\d?)(?:\.\d*)?)?\s*")


def problems(
    document: Mapping[str, Any], doctype: DocType, children: Mapping[str, DocType], *, new: bool
) -> list[str]:
    """Return what is wrong with a document, one line a field; none of them holds a value.

    Args:
        document: as it would be sent, without the gateway's own fields.
        doctype: as its site describes it.
        children: the DocTypes of its child tables, by name; rows of any other are not looked at.
        new: it is to be inserted; otherwise it changes some fields of one that is there.

    """
    return list(_problems(document, doctype, children, "", new=new, row=doctype.child))


def unsure(document: Mapping[str, Any], doctype: DocType, children: Mapping[str, DocType]) -> list[str]:
    """Return the mandatory fields that a new document leaves empty and only the site's code could fill, by path.

    Whether it does, no description tells: Frappe looks for them after all of its code has run. Those that
    `problems` names are not repeated, nor what has a default, comes through a link or is none of people's business.
    """
    return list(_unsure(document, doctype, children, ""))


def unsure_line(doctype: str, field: str) -> str:
    """Return a warning of one of these fields."""
    return f"{doctype}: the mandatory field {field} is not in the document; code of the site may fill it"


def tables(document: Mapping[str, Any], doctype: DocType) -> set[str]:
    """Return the DocTypes of the child tables that a document fills."""
    fields = (doctype.fields.get(name) for name in document)
    return {each.options for each in fields if each is not None and each.kind in TABLES and each.options}


def chosen_name(doctype: DocType) -> bool:
    """Tell whether documents of the DocType take the name that is sent."""
    return doctype.autoname.lower() == "prompt"


def _problems(
    document: Mapping[str, Any],
    doctype: DocType,
    children: Mapping[str, DocType],
    path: str,
    *,
    new: bool,
    row: bool,
) -> Iterator[str]:
    standard = ROW if row else FREE | (NAMED if new and chosen_name(doctype) else frozenset())
    for name, value in document.items():
        where = child_path(path, name)
        field = doctype.fields.get(name)
        if field is None:
            if name not in standard:
                yield f"{where}: {_unknown(name, doctype)}"
        elif field.kind in TABLES:
            yield from _table(value, children.get(field.options), children, where, new=new)
        else:
            said = _wrong(value, field)
            if said is not None:
                yield f"{where}: {said}"
    if new and doctype.custom:
        for field in doctype.fields.values():
            if _lacking(field, document.get(field.name)):
                yield f"{child_path(path, field.name)}: is mandatory"


def _unsure(
    document: Mapping[str, Any], doctype: DocType, children: Mapping[str, DocType], path: str
) -> Iterator[str]:
    for field in doctype.fields.values():
        value = document.get(field.name)
        asked = field.mandatory and not field.filled and field.by_hand and field.kind not in _NUMBERS | LAYOUT
        if asked and field.kind != "Select" and _nothing(value) and not (doctype.custom and _lacking(field, value)):
            yield child_path(path, field.name)
        child = children.get(field.options) if field.kind in TABLES else None
        for index, row in enumerate(value if child is not None and isinstance(value, list) else ()):
            if child is not None and isinstance(row, dict):
                yield from _unsure(row, child, {}, child_path(child_path(path, field.name), index))


def _table(
    value: object, child: DocType | None, children: Mapping[str, DocType], path: str, *, new: bool
) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        yield f"{path}: a child table is a list of rows"
        return
    for index, row in enumerate(value):
        where = child_path(path, index)
        if not isinstance(row, dict):
            yield f"{where}: a row is a table of fields"
        elif child is not None:
            yield from _problems(row, child, children, where, new=new, row=True)


def _unknown(name: str, doctype: DocType) -> str:
    if name in OWN:
        return "Frappe fills this itself"
    if name in NAMED:
        return f"{doctype.name} names its documents itself"
    return f"{doctype.name} has no such field{did_you_mean(name, doctype.fields)}"


def _lacking(field: Field, value: object) -> bool:
    # Numbers are 0, a Select takes its first option, and a user's defaults may fill a link.
    if not field.mandatory or field.filled or field.kind in _FILLED or field.kind in LAYOUT:
        return False
    return _nothing(value)


def _nothing(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _wrong(value: object, field: Field) -> str | None:
    if field.kind in LAYOUT:
        return f"a {field.kind} holds no value"
    if value is None or value == "":
        return None
    if field.kind == "JSON":
        return None if not isinstance(value, str) or _is_json(value) else "is no JSON"
    if isinstance(value, dict | list):
        return f"a {field.kind or 'field'} holds one value, not a {'table' if isinstance(value, dict) else 'list'}"
    check = _CHECKS.get(field.kind)
    return None if check is None else check(value, field)


def number(value: object) -> float | int | None:
    """Return what a number field would hold; None for what Frappe would bend or refuse."""
    if isinstance(value, str):
        # A comma would be dropped: "1,5" would become 15.
        try:
            value = int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _real(value: object, field: Field) -> str | None:
    given = number(value)
    if given is None:
        return "is no number"
    if field.non_negative and given < 0:
        return "must not be negative"
    return None if abs(given) < LARGEST else "is too large"


def _whole(value: object, field: Field) -> str | None:
    given = number(value)
    if given is None or given != int(given):
        return "is no whole number"
    if field.non_negative and given < 0:
        return "must not be negative"
    bits = 63 if field.kind == "Long Int" or field.length > 11 else 31
    return None if -(2**bits) <= given < 2**bits else "is too large"


def _check(value: object, _field: Field) -> str | None:
    return None if number(value) in {0, 1} else "is neither 0 nor 1"


def _moment(value: object, field: Field) -> str | None:
    text = str(value)
    found = MOMENT.fullmatch(text)
    if found is None:
        # MariaDB takes neither; Frappe answers with a 500.
        if OFFSET.fullmatch(text):
            return "has an offset from UTC; write it with the filter site_time"
        return f"is no {field.kind.lower()}"
    try:
        date(int(found["year"]), int(found["month"]), int(found["day"]))
        time(int(found["hour"] or 0), int(found["minute"] or 0), int(found["second"] or 0))
    except ValueError:
        return f"is no {field.kind.lower()} of the calendar"
    return None


def _time(value: object, field: Field) -> str | None:
    text = str(value)
    found = TIME.fullmatch(text)
    if found is None:
        return "is no time" if MOMENT.fullmatch(text) is None or ":" not in text else _moment(value, field)
    right = int(found["hour"]) <= 838 and int(found["minute"]) < 60 and int(found["second"] or 0) < 60
    return None if right else "is no time"


def _line(value: object, field: Field) -> str | None:
    limit = field.length or LINE
    return None if len(str(value).strip()) <= limit else f"is longer than {limit} characters"


def _text(value: object, _field: Field) -> str | None:
    return None if len(str(value).encode(errors="replace")) <= TEXT_BYTES else f"is longer than {TEXT_BYTES} bytes"


def _option(value: object, field: Field) -> str | None:
    options = field.options.split("\n")
    if field.name == "naming_series" or not any(options) or field.options.startswith(("link:", "[", "Loading")):
        return _line(value, field)
    if str(value).strip() in options:
        return None
    named = [option for option in options if option]
    return f"is none of {', '.join(named)}" if len(named) <= FEW else f"is none of its {len(named)} options"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


_LINES = ("Autocomplete", "Color", "Data", "Dynamic Link", "Icon", "Link", "Phone", "Read Only")
_CHECKS: dict[str, Callable[[object, Field], str | None]] = {
    "Check": _check,
    "Int": _whole,
    "Long Int": _whole,
    "Date": _moment,
    "Datetime": _moment,
    "Time": _time,
    "Select": _option,
    **dict.fromkeys(("Currency", "Duration", "Float", "Percent", "Rating"), _real),
    **dict.fromkeys(_LINES, _line),
    **dict.fromkeys(("Attach", "Attach Image", "Small Text", "Text"), _text),
}
"""By fieldtype; every other takes any text."""

_NUMBERS = frozenset({"Check", "Int", "Long Int", ""}) | {kind for kind, check in _CHECKS.items() if check is _real}
"""Kinds that are 0 instead of empty."""
_FILLED = _NUMBERS | {"Dynamic Link", "Link", "Select"}
"""Kinds that are seldom empty although nothing was sent."""
