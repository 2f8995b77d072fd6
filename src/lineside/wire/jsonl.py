"""JSON lines: one JSON object a line. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from lineside.model.event import Event
from lineside.model.fields import key_text, lookup

_decode = msgspec.json.Decoder().decode

MAX_NESTING = 100
"""Arrays and objects in one another, at most. How many more Python bears depends on who calls: what is taken
here must be readable wherever the event goes."""


class JsonLines(Struct, frozen=True):
    """Turns a line into an event; ``dedupe`` and ``device`` are field paths into the object."""

    dedupe: str | None = None
    device: str | None = None

    def decode(self, line: bytes, sender: str | None = None) -> Event:
        """Return the line's event. What is no JSON object comes back whole, as an event with ``error``.

        Args:
            line: without its delimiter.
            sender: the device, where the object itself does not say.

        """
        try:
            payload = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            return undecodable(line, *_classify(line, wrong), sender)
        if not isinstance(payload, dict):
            return undecodable(line, "json", f"expected an object, got {_kind(payload)}", sender)
        if line.count(b"{") + line.count(b"[") > MAX_NESTING and _nested_too_deeply(payload):
            return undecodable(line, "json", f"nested more than {MAX_NESTING} deep", sender)
        if self.dedupe is None and self.device is None:
            return Event(line, device=sender)
        return Event(
            line,
            key=self.dedupe and key_text(lookup(payload, self.dedupe)),
            device=(self.device and key_text(lookup(payload, self.device))) or sender,
        )


def undecodable(frame: bytes, code: str, reason: str, sender: str | None) -> Event:
    """Return the event of a frame that makes no sense: its bytes, and why."""
    return Event(b"", raw=frame, device=sender, error=f"{code}: {reason}")


def _classify(line: bytes, wrong: Exception) -> tuple[str, str]:
    # The decoder counts inside a string, or stumbles over the structure first; the bad byte is the better reason.
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return "utf8", f"byte {bad.start + 1} is not UTF-8"
    return "json", f"nested more than {MAX_NESTING} deep" if isinstance(wrong, RecursionError) else str(wrong)


def _nested_too_deeply(payload: object) -> bool:
    level = [payload]
    for _ in range(MAX_NESTING):
        level = [item for value in level for item in _items(value) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _items(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "an array"
