"""Frames that a regular expression takes apart. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from lineside.model.event import Event
from lineside.wire.decoding import Misfit, Reading
from lineside.wire.patterncost import longest_match


class Pattern(Struct, frozen=True):
    """Turns a frame that a regular expression matches, as a whole, into an event with a field for each named group.

    A group that took no part is null.
    """

    pattern: re.Pattern[str]
    longest: int
    """Characters of a frame that is matched, at most; see `longest_match`."""
    reading: Reading = Reading()

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event; see `lineside.wire.decoding.Decoder`."""
        return self.reading.event("regex", self._fields, frame, sender)

    def _fields(self, text: str) -> dict[str, str | None]:
        if len(text) > self.longest:
            raise Misfit(f"{len(text)} characters; with this pattern at most {self.longest} are matched")
        match = self.pattern.fullmatch(text)
        if match is None:
            raise Misfit("the pattern does not match")
        return match.groupdict()


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return an expression that may be used.

    Raises:
        ValueError: it is none, has no named group, or may take for ever; the message is one line.

    """
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as wrong:
        raise ValueError(f"it is no regular expression: {wrong}") from wrong
    if not pattern.groupindex:
        raise ValueError("it has no named group such as (?P<code>[0-9]+); each one becomes a field")
    longest_match(text)
    return pattern
