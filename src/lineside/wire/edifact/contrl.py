"""CONTRL (D.3, syntax version 2.2 and 3): the receipt of an interchange, and what was wrong with it. Pure."""

from __future__ import annotations

from datetime import datetime

from pydifact.control.characters import Characters
from pydifact.segments import Segment
from pydifact.serializer import Serializer

from lineside.wire.edifact.interchange import Fault, Header, Message
from lineside.wire.edifact.segments import Broken

REJECTED, ACKNOWLEDGED = "4", "7"
"""Code list 0083: this level and all below it; this level, and below it what is not rejected explicitly."""


def receipt(
    header: Header, now: datetime, rejected: list[tuple[Message, Fault]], broken: Broken | None = None
) -> bytes:
    """Return the interchange that answers another one.

    Args:
        header: of that one.
        now: when it is answered.
        rejected: messages that were not taken, and why; all others were.
        broken: why none was.

    """
    segments = [
        Segment("UNH", "1", ["CONTRL", "D", "3", "UN"]),
        _interchange(header, broken),
    ]
    for message, fault in rejected if broken is None else ():
        segments += _message(message, fault)
    segments.append(Segment("UNT", str(len(segments) + 1), "1"))
    reference = f"C{header.reference}"[:14]
    whole = [
        Segment(
            "UNB",
            # What is quoted may be of any charset.
            [header.syntax, "3" if header.version < "4" else "4"],
            list(header.recipient),
            list(header.sender),
            [f"{now:%y%m%d}", f"{now:%H%M}"],
            reference,
        ),
        *segments,
        Segment("UNZ", "1", reference),
    ]
    text = Serializer(Characters(decimal_point=".")).serialize(whole, with_una_header=True, break_lines=False)
    return text.encode(header.charset, "replace")


def _interchange(header: Header, broken: Broken | None) -> Segment:
    action = [ACKNOWLEDGED] if broken is None else [REJECTED, broken.code, broken.tag]
    return Segment("UCI", header.reference, list(header.sender), list(header.recipient), *action)


def _message(message: Message, fault: Fault) -> list[Segment]:
    service = fault.tag is not None
    error: list[str | list[str]] = [fault.code, fault.tag or ""] if service else []
    if service and fault.element is not None:
        error.append(_position(fault))
    segments = [Segment("UCM", message.reference, [*message.kind[:4]] or "", REJECTED, *error)]
    if fault.segment is not None:
        # An element's error is told at the element.
        segments.append(Segment("UCS", str(fault.segment), *([fault.code] if fault.element is None else [])))
        if fault.element is not None:
            segments.append(Segment("UCD", fault.code, _position(fault)))
    return segments


def _position(fault: Fault) -> str | list[str]:
    element = str(fault.element)
    return element if fault.component is None else [element, str(fault.component)]
