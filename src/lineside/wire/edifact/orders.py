"""ORDERS D.96A: a purchase order as JSON. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

from lineside.wire.edifact.interchange import Fault, Message
from lineside.wire.edifact.segments import Elements, Garbled

KIND = ["ORDERS", "D", "96A", "UN"]
TAGS = frozenset(
    re.findall(
        "[A-Z]{3}",
        "UNH BGM DTM PAI ALI IMD FTX RFF NAD LOC FII DOC CTA COM TAX CUX PAT PCD MOA TDT TOD PAC MEA PCI GIN EQD "
        "HAN SCC QTY APR RNG ALC RTE RCS DGS LIN PIA GIR QVR PRI STG UNS CNT UNT RJL CCI CAV",
    )
)
"""The segments that the message may have (UN/EDIFACT directory D.96A)."""
_NUMBER = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
_FORMATS = {"101": "%y%m%d", "102": "%Y%m%d", "203": "%Y%m%d%H%M", "204": "%Y%m%d%H%M%S"}
_DATES = {"137": "document_date", "2": "delivery_date"}
"""The dates that have names of their own."""


class Wrong(ValueError):
    """A message cannot be read."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def read(message: Message) -> dict[str, Any]:
    """Return a message's order.

    Raises:
        Wrong: it says what is wrong, and where.

    """
    if message.fault is not None:
        raise Wrong(message.fault)
    if message.kind[:4] != KIND:
        kind = ":".join(message.kind)
        raise Wrong(Fault("17", f"messages {kind} are not taken, but ORDERS:D:96A:UN", element=3, tag="UNH"))
    return _Order(message).read()


class _Order:
    def __init__(self, message: Message) -> None:
        self._message = message
        self._order: dict[str, Any] = {}
        self._lines: list[dict[str, Any]] = []
        self._place = 0
        self._party: dict[str, Any] | None = None
        self._summary = False

    def read(self) -> dict[str, Any]:
        header = self._message.header
        self._order = {
            "interchange": {
                "reference": header.reference,
                "sender": header.sender[0],
                "recipient": header.recipient[0],
                "prepared": _prepared(header.prepared),
                "test": header.test,
            },
            "message": {"reference": self._message.reference, "type": "ORDERS", "version": "D.96A"},
            "number": None,
            "code": None,
            "function": None,
            "document_date": None,
            "delivery_date": None,
            "dates": {},
            "parties": {},
            "currency": None,
            "references": {},
            "texts": [],
            "lines": self._lines,
            "totals": {},
            "counts": {},
        }
        seen = set()
        for place in range(1, len(self._message.segments) - 1):
            self._place = place
            try:
                elements = self._message.elements(place)
            except Garbled as wrong:
                raise self._wrong("21", str(wrong)) from wrong
            tag = elements[0][0]
            if tag not in TAGS or tag in {"UNH", "UNT"}:
                raise self._wrong("15", f"a segment {tag[:3]} has no place in ORDERS")
            if (place == 1) is not (tag == "BGM"):
                raise self._wrong("13" if place == 1 else "35", "BGM stands once, after UNH")
            seen.add(tag)
            self._take(tag, elements)
        for tag in ("BGM", "DTM", "UNS"):
            if tag not in seen:
                raise self._wrong("13", f"{tag} is missing", end=True)
        return self._order

    def _take(self, tag: str, elements: Elements) -> None:
        """Take a segment; those that say nothing here are passed over."""
        taking = getattr(self, f"_{tag.lower()}", None)
        if taking is not None:
            taking(elements)

    def _bgm(self, elements: Elements) -> None:
        self._order["code"] = _at(elements, 1) or None
        self._order["number"] = self._needed(elements, 2, "the order's number")
        self._order["function"] = _at(elements, 3) or None

    def _dtm(self, elements: Elements) -> None:
        qualifier = self._needed(elements, 1, "a date's meaning")
        text, form = _at(elements, 1, 1), _at(elements, 1, 2) or "102"
        value: str | None = text or None
        if value is not None and form in _FORMATS:
            try:
                moment = datetime.strptime(value, _FORMATS[form])  # noqa: DTZ007 (it has no zone)
            except ValueError as wrong:
                raise self._wrong("12", f"a date {qualifier} is none of the form {form}", 2, 2) from wrong
            value = moment.date().isoformat() if form in {"101", "102"} else moment.isoformat()
        place = self._line
        if name := _DATES.get(qualifier):
            place[name] = value
        place.setdefault("dates", {})[qualifier] = value

    def _nad(self, elements: Elements) -> None:
        role = self._needed(elements, 1, "a party's role")
        name = " ".join(filter(None, elements[4] if len(elements) > 4 else [])) or " ".join(
            filter(None, elements[3] if len(elements) > 3 else [])
        )
        self._party = {
            "id": _at(elements, 2) or None,
            "agency": _at(elements, 2, 2) or None,
            "name": name or None,
            "street": " ".join(filter(None, elements[5] if len(elements) > 5 else [])) or None,
            "city": _at(elements, 6) or None,
            "region": _at(elements, 7) or None,
            "postcode": _at(elements, 8) or None,
            "country": _at(elements, 9) or None,
        }
        self._line.setdefault("parties", {})[role] = self._party

    def _rff(self, elements: Elements) -> None:
        qualifier = self._needed(elements, 1, "a reference's meaning")
        # One that follows a party is the party's own.
        place = self._line if self._party is None else self._party
        place.setdefault("references", {})[qualifier] = _at(elements, 1, 1) or None

    def _cux(self, elements: Elements) -> None:
        if _at(elements, 1) in {"", "2"} and self._order["currency"] is None:
            self._order["currency"] = _at(elements, 1, 1) or None

    def _ftx(self, elements: Elements) -> None:
        text = " ".join(filter(None, elements[4] if len(elements) > 4 else []))
        self._line.setdefault("texts", []).append({"subject": _at(elements, 1) or None, "text": text or None})

    def _lin(self, elements: Elements) -> None:
        self._party = None
        if self._summary:
            raise self._wrong("15", "LIN stands after UNS")
        self._lines.append(
            {
                "number": _at(elements, 1) or str(len(self._lines) + 1),
                "item": _at(elements, 3) or None,
                "item_type": _at(elements, 3, 1) or None,
                "codes": {},
                "description": None,
                "quantity": None,
                "unit": None,
                "price": None,
                "amount": None,
                "delivery_date": None,
            }
        )
        if self._lines[-1]["item"] and self._lines[-1]["item_type"]:
            self._lines[-1]["codes"][self._lines[-1]["item_type"]] = self._lines[-1]["item"]

    def _pia(self, elements: Elements) -> None:
        line = self._of_a_line("PIA")
        for element in elements[2:]:
            if len(element) > 1 and element[0] and element[1]:
                line["codes"].setdefault(element[1], element[0])

    def _imd(self, elements: Elements) -> None:
        if not self._lines or self._summary:
            return
        text = " ".join(filter(None, (_at(elements, 3, 3), _at(elements, 3, 4)))) or _at(elements, 3)
        before = self._lines[-1]["description"]
        self._lines[-1]["description"] = " ".join(filter(None, (before, text))) or None

    def _qty(self, elements: Elements) -> None:
        line = self._of_a_line("QTY")
        qualifier = self._needed(elements, 1, "a quantity's meaning")
        value = self._number(elements, 1, 1, "a quantity")
        if qualifier == "21":
            line["quantity"], line["unit"] = value, _at(elements, 1, 2) or None
        else:
            line.setdefault("quantities", {})[qualifier] = value

    def _pri(self, elements: Elements) -> None:
        line = self._of_a_line("PRI")
        qualifier = self._needed(elements, 1, "a price's meaning")
        value = self._number(elements, 1, 1, "a price")
        if qualifier == "AAA":
            line["price"] = value
            if _at(elements, 1, 4):
                line["price_basis"] = self._number(elements, 1, 4, "a price's basis")
        else:
            line.setdefault("prices", {})[qualifier] = value

    def _moa(self, elements: Elements) -> None:
        qualifier = self._needed(elements, 1, "an amount's meaning")
        value = self._number(elements, 1, 1, "an amount")
        if self._lines and not self._summary:
            if qualifier == "203":
                self._lines[-1]["amount"] = value
            self._lines[-1].setdefault("amounts", {})[qualifier] = value
        else:
            self._order["totals"][qualifier] = value

    def _uns(self, elements: Elements) -> None:
        self._party = None
        if self._summary:
            raise self._wrong("35", "UNS stands twice")
        self._summary = True

    def _cnt(self, elements: Elements) -> None:
        qualifier = self._needed(elements, 1, "a count's meaning")
        value = self._number(elements, 1, 1, "a count")
        self._order["counts"][qualifier] = value
        if qualifier == "2" and float(bytes(value)) != len(self._lines):
            raise self._wrong("29", f"CNT says {bytes(value).decode()} lines, there are {len(self._lines)}", 2, 2)

    @property
    def _line(self) -> dict[str, Any]:
        """What a segment belongs to that may stand anywhere: the last line, or the order."""
        return self._lines[-1] if self._lines and not self._summary else self._order

    def _of_a_line(self, tag: str) -> dict[str, Any]:
        if not self._lines or self._summary:
            # In the header a quantity or price is a scheduling detail that nobody reads.
            return {"codes": {}}
        del tag
        return self._lines[-1]

    def _needed(self, elements: Elements, place: int, what: str) -> str:
        text = _at(elements, place)
        if not text:
            raise self._wrong("13", f"{what} is missing", place + 1)
        return text

    def _number(self, elements: Elements, place: int, component: int, what: str) -> msgspec.Raw:
        text = _at(elements, place, component)
        if not _NUMBER.fullmatch(text):
            raise self._wrong("13" if not text else "37", f"{what} is no number", place + 1, component + 1)
        text = text.replace(",", ".")
        if len(text.replace(".", "").lstrip("-0")) > 15:
            raise self._wrong("39", f"{what} has more than 15 digits", place + 1, component + 1)
        minus, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
        whole, point, part = digits.partition(".")
        return msgspec.Raw(f"{minus}{whole.lstrip('0') or '0'}{point}{part}".encode())

    def _wrong(
        self, code: str, reason: str, element: int | None = None, component: int | None = None, *, end: bool = False
    ) -> Wrong:
        place = len(self._message.segments) if end else self._place + 1
        return Wrong(Fault(code, f"segment {place}: {reason}", place, element, component))


def _at(elements: Elements, place: int, component: int = 0) -> str:
    if place >= len(elements) or component >= len(elements[place]):
        return ""
    return elements[place][component]


def _prepared(prepared: list[str]) -> str | None:
    date, time = (*prepared, "", "")[:2]
    for form in ("%y%m%d%H%M", "%Y%m%d%H%M"):
        try:
            return datetime.strptime(date + time, form).isoformat()  # noqa: DTZ007 (it has no zone)
        except ValueError:
            continue
    return None
