"""JSON lines: one JSON object a line. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch
from lineside.model.event import Event
from lineside.model.fields import MISSING, key_text, lookup

_decode = msgspec.json.Decoder().decode

MAX_NESTING = 100
"""Arrays and objects in one another, at most. How many more Python bears depends on who calls: what is taken
here must be readable wherever the event goes."""

_SHORT = 2 * MAX_NESTING
"""A line of so many bytes is not nested too deeply, and has not so many digits that an exponent of two would lead
out of a float's range (1.8e308)."""
_DIGITS = bytes(
    ord("0") if chr(char) in "0123456789" else ord("e") if chr(char) in "eE" else 0 for char in range(256)
)
_WORDS = bytes(char for char in range(256) if chr(char) not in '0123456789eE"')
"""Without these a line is a third as long, and an exponent is still a digit and an ``e``."""
_FEW = 4
"""Up to so many lines are decoded sooner one by one."""


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


def batches_of(lines: JsonLines) -> Callable[[list[bytes], str | None], Batch]:
    """Return a function that makes of many lines what `JsonLines.decode` makes of each, and builds no values.

    Where one of them is no plain object, or is too strange to be sure, they are decoded one by one.
    """
    wanted = [path for path in (lines.dedupe, lines.device) if path is not None]
    if any("." in path for path in wanted):
        return lambda frames, sender: Batch.of([lines.decode(line, sender) for line in frames])
    names = list(dict.fromkeys(wanted))
    fields: list[tuple[str, Any, Any]] = [(f"field_{place}", Any, MISSING) for place in range(len(names))]
    rename = {f"field_{place}": name for place, name in enumerate(names)}
    check = msgspec.json.Decoder(msgspec.defstruct("Wanted", fields, rename=rename, gc=False)).decode
    key_field = None if lines.dedupe is None else f"field_{names.index(lines.dedupe)}"
    device_field = None if lines.device is None else f"field_{names.index(lines.device)}"

    def decode(frames: list[bytes], sender: str | None) -> Batch:
        if len(frames) == 1:
            return Batch.of_one(lines.decode(frames[0], sender))
        if len(frames) <= _FEW or not _plain(frames):
            return Batch.of([lines.decode(line, sender) for line in frames])
        try:
            if not names:
                deque(map(check, frames), maxlen=0)
                return Batch(frames, sender)
            found = list(map(check, frames))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Batch.of([lines.decode(line, sender) for line in frames])
        batch = Batch(frames, sender)
        if key_field is not None:
            batch.keys = [key_text(getattr(one, key_field)) for one in found]
        if device_field is not None:
            for place, one in enumerate(found):
                if device := key_text(getattr(one, device_field)):
                    batch.devices[place] = device
        return batch

    return decode


def _plain(frames: list[bytes]) -> bool:
    """Whether what the decoder skips without a look needs none: UTF-8, ranges of numbers, depths of nesting."""
    together = b"\n".join(frames)
    if not together.isascii():
        try:
            together.decode()
        except UnicodeDecodeError:
            return False
    if b"0e" in together.translate(_DIGITS, _WORDS) and b"0e000" in together.translate(_DIGITS, b"+"):
        return False
    if max(map(len, frames)) <= _SHORT:
        return True
    return b"0" * _SHORT not in together.translate(_DIGITS) and (
        # Each object opens once at least: in few enough there is none that opens too often.
        together.count(b"{") + together.count(b"[") < len(frames) + MAX_NESTING
        or all(line.count(b"{") + line.count(b"[") <= MAX_NESTING for line in frames)
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
