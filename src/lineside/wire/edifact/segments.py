"""An interchange's segments, one after the other, however its bytes are cut. Pure."""

from __future__ import annotations

import re

from msgspec import Struct
from pydifact.control.characters import Characters
from pydifact.exceptions import EDISyntaxError
from pydifact.parser import Parser
from pydifact.tokenizer import Tokenizer

CHARSETS = {
    "UNOA": "ascii",
    "UNOB": "ascii",
    "UNOC": "iso8859-1",
    "UNOD": "iso8859-2",
    "UNOE": "iso8859-5",
    "UNOF": "iso8859-7",
    "UNOG": "iso8859-3",
    "UNOH": "iso8859-4",
    "UNOI": "iso8859-6",
    "UNOJ": "iso8859-8",
    "UNOK": "iso8859-9",
    "UNOW": "utf-8",
    "UNOY": "utf-8",
}
"""What the syntax identifiers of UNB stand for (ISO 9735, code list 0001)."""
_UNA = 9
_SPACE = b" \t\r\n"
_PARSER = Parser()

Elements = list[list[str]]
"""A segment's data elements, each with its components; the first is its tag."""


class Broken(ValueError):
    """An interchange cannot be read; nothing of it counts.

    Args:
        code: a syntax error of code list 0085.
        tag: of the service segment with it.
        reason: for people.

    """

    def __init__(self, code: str, tag: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.tag = tag


class Garbled(ValueError):
    """A segment has characters that none may have: code 21 of list 0085. `str` says which, for people."""


class Service(Struct, frozen=True):
    """The characters that mean something, as the service string advice has them."""

    component: str = ":"
    element: str = "+"
    decimal: str = "."
    release: str = "?"
    terminator: str = "'"

    @classmethod
    def of(cls, una: str) -> Service:
        """Return those of a segment UNA.

        Raises:
            Broken: two of them are the same, or one is no such character.

        """
        service = cls(una[3], una[4], una[5], una[6], una[8])
        marks = [service.component, service.element, service.terminator]
        marks += [service.release] if service.release != " " else []
        if len(set(marks)) < len(marks) or any(mark.isalnum() or not mark.isascii() for mark in marks):
            raise Broken("22", "UNA", "the service string advice names characters that cannot be told apart")
        return service

    @property
    def characters(self) -> Characters:
        """The same, as the tokenizer takes them."""
        return Characters(self.component, self.element, self.decimal, self.release, " ", self.terminator)


class Segments:
    """Finds the segments of one interchange.

    Args:
        most: bytes of a segment.

    """

    def __init__(self, most: int) -> None:
        self.service = Service()
        """Known once the first segment is found."""
        self._most = most
        self._begun = b""
        self._ended: re.Pattern[bytes] | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the segments that ended in a piece, without what ends them.

        Raises:
            Broken: one is too long, or the service string advice is none.

        """
        self._begun += data
        if self._ended is None:
            self._begun = self._begun.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
            if len(self._begun) < _UNA:
                return []
            if self._begun.startswith(b"UNA"):
                self.service = Service.of(self._begun[:_UNA].decode("latin-1"))
                self._begun = self._begun[_UNA:]
            self._ended = _segment(self.service)
        segments: list[bytes] = []
        at = 0
        while (found := self._ended.match(self._begun, at)) is not None:
            at = found.end()
            if segment := found[0][:-1].lstrip(_SPACE):
                segments.append(segment)
        self._begun = self._begun[at:]
        if len(self._begun) > self._most or any(len(segment) > self._most for segment in segments):
            raise Broken("18", "UNB", f"a segment has more than {self._most} bytes")
        return segments

    def end(self) -> None:
        """The file is at its end.

        Raises:
            Broken: something follows after the last segment.

        """
        if self._begun.strip(_SPACE + b"\x1a\x00"):
            raise Broken("18", "UNZ", "the last segment does not end")


def _segment(service: Service) -> re.Pattern[bytes]:
    end = re.escape(service.terminator.encode())
    if service.release == " ":
        return re.compile(b"[^%b]*+%b" % (end, end), re.DOTALL)
    release = re.escape(service.release.encode())
    return re.compile(b"(?:[^%b%b]|%b.)*+%b" % (end, release, release, end), re.DOTALL)


def take_apart(segment: bytes, service: Service, charset: str) -> Elements:
    """Return a segment's elements.

    Raises:
        Garbled: it is not of this charset, or releases what cannot be released.

    """
    try:
        text = segment.decode(charset) + service.terminator
    except UnicodeDecodeError as wrong:
        raise Garbled(f"a character that {charset} does not know") from wrong
    try:
        tokens = Tokenizer().get_tokens(text, service.characters)
        raw = next(_PARSER.convert_tokens_to_raw_segments(tokens), [""])
    except EDISyntaxError as wrong:
        raise Garbled("a line end behind the release character") from wrong
    return [[element] if isinstance(element, str) else list(element) for element in raw]


def tag_of(segment: bytes, service: Service) -> str:
    """Return a segment's tag, or as much as stands in its place."""
    head = segment[:4].decode("latin-1")
    return head[:3] if head[3:4] in {"", service.element, service.component} else head
