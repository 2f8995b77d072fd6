"""What a site made of the values it was sent: which fields of its answer hold something else. Pure.

Frappe writes values in forms of its own (numbers for texts, dates without a time, harmless HTML, links in the
case of what they lead to); these are the same value. A value is something else only where no such form explains
it, so that a document that is right is never reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from lineside.edges.frappe.doctypes import LAYOUT, TABLES, DocType, Field
from lineside.edges.frappe.levels import role_wanted
from lineside.edges.frappe.preflight import FREE, MOMENT, NAMED, OWN, ROW, TIME, number
from lineside.model.outcome import Altered
from lineside.model.wording import child_path

UNSHOWN = frozenset({"Attach", "Attach Image", "Barcode", "Geolocation", "Password", "Signature"})
"""Kinds whose values Frappe hides, stores elsewhere or draws anew."""
MARKED_UP = frozenset({"Code", "HTML Editor", "Markdown Editor", "Text Editor"})
MARKUP = re.compile(r"[<>&]")
DIGITS = 2
"""Decimal places to which a site may round at the most, where the field does not say."""

MayWrite = Callable[[int], bool | None]
"""Tells whether the API user may write fields of a permission level; None where nobody knows."""


def alterations(
    sent: Mapping[str, Any],
    answered: Mapping[str, Any],
    doctype: DocType | None,
    children: Mapping[str, DocType],
    may_write: MayWrite,
    *,
    new: bool,
) -> tuple[Altered, ...]:
    """Return the fields that do not hold what was sent, each once; none of it holds a value.

    Args:
        sent: the document, without the gateway's own fields.
        answered: the document as the site returned it, which leaves empty fields out.
        doctype: as its site describes it; None where it does not.
        children: the DocTypes of its child tables, by name.
        may_write: for fields that the answer leaves out, which may just be hidden from the user.
        new: it was inserted: what was sent empty has a default, and is not looked at.

    """
    found = _compared(sent, answered, doctype, children, may_write, "", new=new)
    return tuple({one.field: one for one in found}.values())


def _compared(
    sent: Mapping[str, Any],
    answered: Mapping[str, Any],
    doctype: DocType | None,
    children: Mapping[str, DocType],
    may_write: MayWrite,
    path: str,
    *,
    new: bool,
) -> Iterator[Altered]:
    for name, value in sent.items():
        if name in OWN | FREE | NAMED or (path and name in ROW):
            continue
        field = Field(name) if doctype is None else doctype.fields.get(name)
        if field is None or field.kind in LAYOUT | UNSHOWN or (new and _empty(value)):
            continue
        where = child_path(path, name)
        held = answered.get(name)
        if isinstance(value, list) and (field.kind in TABLES or isinstance(held, list)):
            rows = held if isinstance(held, list) else []
            if len(rows) < len(value):
                yield Altered(where, _remedy(field, doctype))
            child = children.get(field.options)
            for row, kept in zip(value, rows, strict=False):
                if isinstance(row, dict) and isinstance(kept, dict):
                    yield from _compared(row, kept, child, {}, may_write, where, new=True)
        elif not _same(value, held, field) and not (held is None and field.level and may_write(field.level)):
            yield Altered(where, _remedy(field, doctype))


def _remedy(field: Field, doctype: DocType | None) -> str:
    if doctype is None:
        return "check that the DocType has the field, and that the API user may write it"
    if field.level and not doctype.child:
        return role_wanted(doctype, field.level)
    if field.fetched:
        return "the site fetches it through a link: take it out of the route"
    if not field.by_hand:
        return "the site fills it by itself: take it out of the route"
    return "look at the document: code, a script or a rule of the site sets this field"


def _empty(value: object) -> bool:
    return value is None or value in ("", [])


def _same(sent: object, held: object, field: Field) -> bool:
    if _empty(sent) or _empty(held):
        return _nothing(sent) and _nothing(held)
    if field.kind == "JSON" or isinstance(sent, dict | list):
        return _parsed(sent) == _parsed(held)
    if field.kind == "":
        # Nobody knows what it is: any form that explains it will do.
        return any(compare(sent, held, field) for compare in (_as_text, _as_number, _as_moment, _as_time))
    return _FORMS.get(field.kind, _as_text)(sent, held, field)


def _nothing(value: object) -> bool:
    """Tell whether a value is empty, or the 0 that stands for it in a number."""
    return _empty(value) or (isinstance(value, str) and not value.strip()) or number(value) == 0


def _as_text(sent: object, held: object, field: Field) -> bool:
    if isinstance(sent, bool):
        sent = int(sent)
    texts = _plain(sent), _plain(held)
    if texts[0] == texts[1]:
        return True
    if isinstance(sent, str):
        # Made harmless, wrapped or escaped: how is the site's to decide, but not that nothing is left.
        return field.kind in MARKED_UP or MARKUP.search(sent) is not None
    return _as_number(sent, held, field)


def _plain(value: object) -> str:
    return " ".join(str(value).split()).casefold()


def _as_number(sent: object, held: object, field: Field) -> bool:
    one, other = number(sent), number(held)
    if one is None or other is None:
        return False
    digits = DIGITS if field.precision is None else field.precision
    # A site rounds; it does not round away to nothing.
    return one == other or (other != 0 and abs(one - other) <= 0.5 * 10**-digits * (1 + 1e-9))


def _as_whole(sent: object, held: object, _field: Field) -> bool:
    return number(sent) is not None and number(sent) == number(held)


def _as_day(sent: object, held: object, _field: Field) -> bool:
    one, other = _moment(sent), _moment(held)
    return one is not None and other is not None and one.date() == other.date()


def _as_moment(sent: object, held: object, _field: Field) -> bool:
    one, other = _moment(sent), _moment(held)
    if one is None or other is None:
        return False
    # A fraction of a second may be cut off; one that appears is another time, such as that of the insert.
    return one == other or (other.microsecond == 0 and one.replace(microsecond=0) == other)


def _as_time(sent: object, held: object, _field: Field) -> bool:
    one, other = _time(sent), _time(held)
    if one is None or other is None:
        return False
    return one == other or (not other.microseconds and one - timedelta(microseconds=one.microseconds) == other)


def _moment(value: object) -> datetime | None:
    text = str(value)
    found = MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime(  # noqa: DTZ001 (the site's own naive time)
            int(found["year"]),
            int(found["month"]),
            int(found["day"]),
            int(found["hour"] or 0),
            int(found["minute"] or 0),
            int(found["second"] or 0),
            _microseconds(text),
        )
    except ValueError:
        return None


def _time(value: object) -> timedelta | None:
    text = str(value)
    moment = _moment(text) if ":" in text else None
    if moment is not None:
        return moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)
    found = TIME.fullmatch(text)
    if found is None:
        return None
    return timedelta(
        hours=int(found["hour"]),
        minutes=int(found["minute"]),
        seconds=int(found["second"] or 0),
        microseconds=_microseconds(text),
    )


def _microseconds(text: str) -> int:
    fraction = re.search(r":\d\d?\.(\d{1,6})", text)
    return int(fraction[1].ljust(6, "0")) if fraction else 0


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return value


_FORMS: dict[str, Callable[[object, object, Field], bool]] = {
    **dict.fromkeys(("Check", "Int", "Long Int"), _as_whole),
    **dict.fromkeys(("Currency", "Duration", "Float", "Percent", "Rating"), _as_number),
    "Date": _as_day,
    "Datetime": _as_moment,
    "Time": _as_time,
}
"""By fieldtype; every other holds text."""
