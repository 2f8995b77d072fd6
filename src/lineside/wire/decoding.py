"""From a frame's contents to an event: what every format promises, and what those of plain fields share. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch
from lineside.model.event import Event
from lineside.model.fields import key_text, lookup
from lineside.wire import jsonl
from lineside.wire.jsonl import JsonLines, undecodable

Kind = Literal["int", "decimal", "bool"]
"""What a field's text can be turned into; without, it stays text."""

_INT = re.compile(r"([+-]?) *0*+(\d*+)(?<=\d)", re.ASCII)
"""Scales put spaces between the sign and the digits. Nothing is tried twice: a frame may be
all zeros but for its end."""
_INT_DIGITS = 18
"""So many always fit into 64 bits."""
_DECIMAL_DIGITS = 15
"""So many a float keeps, whoever reads the number next."""
_YES = frozenset({"1", "true", "yes", "y", "on", "t"})
_NO = frozenset({"0", "false", "no", "n", "off", "f"})
_ASCII = bytes(range(128))
_ESCAPING = frozenset({"unicode-escape", "raw-unicode-escape", "utf-7", "idna", "punycode", "undefined"})


class Misfit(ValueError):
    """A frame does not have the form that its source's format says; the text is a reason, without its contents."""


class Decoder(Protocol):
    """One source's format. Stateless: a frame means the same whenever and however often it is decoded."""

    def decode(self, frame: bytes, sender: str | None = None) -> Event:
        """Return the frame's event, undecodable where it makes no sense. Never raises.

        Args:
            frame: the contents, without what frames them.
            sender: the device, where the frame itself does not say.

        """
        ...


def batches_of(decoder: Decoder) -> Callable[[list[bytes], str | None], Batch]:
    """Return a function that makes of frames of one sender, at least one, what `Decoder.decode` makes of each."""
    if isinstance(decoder, JsonLines):
        return jsonl.batches_of(decoder)
    decode = decoder.decode
    return lambda frames, sender: Batch.of([decode(frame, sender) for frame in frames])


def encoding_problem(name: str) -> str | None:
    """Return what keeps an encoding from being used, or None.

    Frames are cut by bytes that are ASCII, so it must hold ASCII as it is.
    """
    try:
        known = codecs.lookup(name)
        if known.name in _ESCAPING or _ASCII.decode(name) != _ASCII.decode("ascii"):
            return f'"{name}" does not write ASCII as it is; devices that speak it are not understood'
    except (LookupError, UnicodeError, ValueError):
        return f'unknown encoding "{name}"; such as "utf-8", "utf-8-sig", "cp1252" or "latin-1"'
    return None


class Reading(Struct, frozen=True):
    """How text is read, and which of its fields mean something; the same for all formats but JSON."""

    dedupe: str | None = None
    """The field with the sender's own key, as a path."""
    device: str | None = None
    """The field that names the device, as a path."""
    encoding: str = "utf-8"
    types: Mapping[str, Kind] = msgspec.field(default_factory=dict)
    """By field; every other one stays text, letter by letter."""
    decimal: Literal[".", ","] = "."
    """The decimal mark of the device's numbers; a JSON number has a point."""

    def event(
        self, code: str, fields: Callable[[str], Mapping[str, str | None]], frame: bytes, sender: str | None
    ) -> Event:
        """Return the event of the fields that ``fields`` finds in the frame's text.

        Args:
            code: that of the errors.
            fields: raises `Misfit`.
            frame: kept whole beside the fields.
            sender: see `Decoder`.

        """
        try:
            text = frame.decode(self.encoding)
        except UnicodeDecodeError as bad:
            return undecodable(frame, "encoding", f"byte {bad.start + 1} is not {self.encoding}", sender)
        except UnicodeError:
            return undecodable(frame, "encoding", f"it is not {self.encoding}", sender)
        try:
            found: dict[str, object] = dict(fields(text))
            for name, kind in self.types.items():
                value = found.get(name)
                if isinstance(value, str):
                    found[name] = typed(name, value.strip(), kind, self.decimal)
        except Misfit as wrong:
            return undecodable(frame, code, str(wrong), sender)
        return Event(
            msgspec.json.encode(found),
            raw=frame,
            key=self.dedupe and key_text(lookup(found, self.dedupe)),
            device=(self.device and key_text(lookup(found, self.device))) or sender,
        )


def typed(name: str, text: str, kind: Kind, decimal: str = ".") -> msgspec.Raw | bool | None:
    """Return a field's text as a JSON value of a kind, digit by digit; None for empty text.

    Raises:
        Misfit: it is none.

    """
    if not text:
        return None
    if kind == "bool":
        lower = text.lower()
        if lower not in _YES | _NO:
            raise Misfit(f"{name} is neither true nor false")
        return lower in _YES
    whole, _, part = text.partition(decimal) if kind == "decimal" else (text, "", "")
    if part and whole.rstrip() in {"", "+", "-"}:
        whole += "0"
    number = _INT.fullmatch(whole)
    if number is None or not re.fullmatch(r"\d*", part, re.ASCII):
        what = f'decimal number with "{decimal}"' if kind == "decimal" else "whole number"
        raise Misfit(f"{name} is no {what}")
    ones = number[2] or "0"
    digits = ones + part
    most = _INT_DIGITS if kind == "int" else _DECIMAL_DIGITS
    if len(digits.lstrip("0")) > most:
        raise Misfit(f"{name} has {len(digits)} digits; a number of this type has at most {most}")
    value = ones + ("." + part if part else "")
    minus = "-" if number[1] == "-" and value.strip("0.") else ""
    return msgspec.Raw((minus + value).encode())
