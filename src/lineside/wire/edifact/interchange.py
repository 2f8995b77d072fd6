"""An interchange's envelope: which messages it has, and whether its counts and references hold. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from lineside.wire.edifact.segments import (
    CHARSETS,
    Broken,
    Elements,
    Garbled,
    Segments,
    Service,
    tag_of,
    take_apart,
)


class Header(Struct, frozen=True):
    """What UNB says."""

    syntax: str
    version: str
    sender: list[str]
    recipient: list[str]
    prepared: list[str]
    """Date and time."""
    reference: str
    test: bool
    wants_receipt: bool

    @property
    def charset(self) -> str:
        """Python's name of it."""
        return CHARSETS[self.syntax]


class Fault(Struct, frozen=True):
    """What is wrong with a message, in the words of CONTRL."""

    code: str
    """Of code list 0085."""
    reason: str
    """For people."""
    segment: int | None = None
    """Which of the message's segments, UNH being 1."""
    element: int | None = None
    """Which of its elements, the tag being 1."""
    component: int | None = None
    tag: str | None = None
    """The service segment with it, UNH or UNT."""


class Message(Struct, frozen=True):
    """One message as it stands in an interchange."""

    header: Header
    service: Service
    number: int
    """Its place in the interchange, from 1."""
    reference: str
    kind: list[str]
    """Type, version, release and agency."""
    segments: list[bytes]
    """UNH to UNT."""
    fault: Fault | None = None
    """What is wrong with its own envelope."""

    @property
    def raw(self) -> bytes:
        """Its bytes, but for line ends between segments."""
        end = self.service.terminator.encode()
        return b"".join(segment + end for segment in self.segments)

    def elements(self, place: int) -> Elements:
        """Return one of its segments taken apart; raises `Garbled`."""
        return take_apart(self.segments[place], self.service, self.header.charset)


class Interchange:
    """Reads one interchange, of which it holds no more than one message.

    Args:
        most: bytes of a message, and of a segment.

    """

    def __init__(self, most: int) -> None:
        self.header: Header | None = None
        self._segments = Segments(most)
        self._most = most
        self._messages = 0
        self._groups = 0
        self._group: tuple[str, int] | None = None
        self._ended = False
        self._open: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that ended in a piece.

        Raises:
            Broken: it is no interchange, or one that contradicts itself.

        """
        messages = []
        for segment in self._segments.feed(data):
            message = self._take(segment)
            if message is not None:
                messages.append(message)
        return messages

    def end(self) -> None:
        """The file is at its end.

        Raises:
            Broken: the interchange is not.

        """
        self._segments.end()
        if self.header is None:
            raise Broken("13", "UNB", "it does not begin with a segment UNB: it is no interchange")
        if not self._ended:
            raise Broken("13", "UNZ", "the interchange does not end: UNZ is missing")

    def _take(self, segment: bytes) -> Message | None:  # noqa: PLR0912 (one for each service segment)
        tag = tag_of(segment, self._segments.service)
        if self._ended:
            raise Broken("33", tag if tag == "UNB" else "UNZ", "something follows after the interchange's end")
        if self.header is None:
            if tag != "UNB":
                raise Broken("13", "UNB", "it does not begin with a segment UNB: it is no interchange")
            self.header = _header(self._apart(segment, "UNB", "latin-1"))
            return None
        if self._open:
            if tag in {"UNH", "UNB", "UNZ", "UNG", "UNE"}:
                raise Broken("13", "UNT", f"message {self._messages} does not end before {tag}")
            return self._add(segment, ended=tag == "UNT")
        match tag:
            case "UNH":
                if self._groups and self._group is None:
                    raise Broken("30", "UNH", "messages stand beside functional groups")
                self._messages += 1
                if self._group is not None:
                    self._group = (self._group[0], self._group[1] + 1)
                return self._add(segment, ended=False)
            case "UNG":
                if self._group is not None or (self._messages and not self._groups):
                    raise Broken("30", "UNG", "a functional group begins where none may")
                self._groups += 1
                self._group = (_text(self._apart(segment, "UNG"), 5), 0)
            case "UNE":
                self._end_group(self._apart(segment, "UNE"))
            case "UNZ":
                self._end(self._apart(segment, "UNZ"))
            case _:
                raise Broken("33", "UNH", f"a segment {tag} stands outside of messages")
        return None

    def _add(self, segment: bytes, *, ended: bool) -> Message | None:
        self._open.append(segment)
        self._size += len(segment) + 1
        if self._size > self._most:
            raise Broken("18", "UNH", f"message {self._messages} has more than {self._most} bytes")
        if not ended:
            return None
        segments, self._open, self._size = self._open, [], 0
        assert self.header is not None
        head, tail = self._apart(segments[0], "UNH"), self._apart(segments[-1], "UNT")
        reference = _text(head, 1)
        kind = head[2] if len(head) > 2 else []
        message = Message(self.header, self._segments.service, self._messages, reference, kind, segments)
        count = _text(tail, 1)
        if not reference:
            fault: Fault | None = Fault("13", "UNH has no reference", element=2, tag="UNH")
        elif _number(count) != len(segments):
            reason = f"UNT says {count or 'nothing'}, the message has {len(segments)} segments"
            fault = Fault("29", reason, element=2, tag="UNT")
        elif _text(tail, 2) != reference:
            fault = Fault("28", f"UNT has the reference {_text(tail, 2)}, UNH {reference}", element=3, tag="UNT")
        else:
            return message
        return msgspec.structs.replace(message, fault=fault)

    def _end_group(self, elements: Elements) -> None:
        if self._group is None:
            raise Broken("33", "UNE", "a functional group ends where none has begun")
        (reference, count), self._group = self._group, None
        if _number(_text(elements, 1)) != count:
            raise Broken("29", "UNE", f"UNE says {_text(elements, 1)} messages, the group has {count}")
        if _text(elements, 2) != reference:
            raise Broken("28", "UNE", f"UNE has the reference {_text(elements, 2)}, UNG {reference}")

    def _end(self, elements: Elements) -> None:
        assert self.header is not None
        if self._group is not None:
            raise Broken("13", "UNE", "the functional group does not end before UNZ")
        count = self._groups or self._messages
        if not self._messages:
            raise Broken("32", "UNZ", "there is no message in it")
        if _number(_text(elements, 1)) != count:
            what = "groups" if self._groups else "messages"
            raise Broken("29", "UNZ", f"UNZ says {_text(elements, 1)} {what}, there are {count}")
        if _text(elements, 2) != self.header.reference:
            reason = f"UNZ has the reference {_text(elements, 2)}, UNB {self.header.reference}"
            raise Broken("28", "UNZ", reason)
        self._ended = True

    def _apart(self, segment: bytes, tag: str, charset: str | None = None) -> Elements:
        if charset is None:
            assert self.header is not None
            charset = self.header.charset
        try:
            return take_apart(segment, self._segments.service, charset)
        except Garbled as wrong:
            raise Broken("21", tag, f"{tag} has {wrong}") from wrong


def _header(elements: Elements) -> Header:
    syntax, version = (*_all(elements, 1), "", "")[:2]
    header = Header(
        syntax,
        version,
        _all(elements, 2),
        _all(elements, 3),
        _all(elements, 4),
        _text(elements, 5),
        test=_text(elements, 11) == "1",
        wants_receipt=_text(elements, 9) == "1",
    )
    needed = {"sender": header.sender, "recipient": header.recipient, "reference": [header.reference]}
    for what, place in needed.items():
        if not place or not place[0]:
            raise Broken("13", "UNB", f"UNB has no {what}")
    if syntax not in CHARSETS or version not in {"1", "2", "3", "4"}:
        raise Broken("2", "UNB", f"the syntax {syntax}:{version} is not known")
    return header


def _all(elements: Elements, place: int) -> list[str]:
    return elements[place] if place < len(elements) else []


def _text(elements: Elements, place: int) -> str:
    found = _all(elements, place)
    return found[0] if found else ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
