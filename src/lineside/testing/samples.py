"""Believable values for the fields of any format, and frames out of a recording. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from random import Random

import msgspec
from msgspec import Struct

from lineside.testing.ledger import Line
from lineside.testing.workload import items
from lineside.wire.decoding import Kind, Misfit, typed

_CODES = items()


class Field(Struct, frozen=True):
    """A field that a device is to send."""

    name: str
    kind: Kind | None = None
    """What its text is turned into; None for text."""
    width: int | None = None
    """Characters that it may have."""
    key: bool = False
    """It is the sender's own key: no two lines of all devices and runs have the same."""
    device: bool = False
    """It names the device."""
    decimal: str = "."


def filled(
    workload: Iterator[Line],
    fields: Sequence[Field],
    encode: Callable[[Mapping[str, str]], bytes],
    random: Random,
    run: str,
    place: tuple[int, int],
    name: str,
) -> Iterator[Line]:
    """Yield the lines of a workload as a format has them.

    A field that the workload has by the same name, in whatever case, gets its value; the others get one that fits.

    Args:
        workload: JSON objects of text and numbers.
        fields: what is to be in a line; without any, what the workload has.
        encode: puts fields into a frame's contents.
        random: for values.
        run: as `lineside.testing.workload.new_run` gives it.
        place: the device's number, from 0, and how many there are.
        name: the device's.

    """
    number, devices = place
    # What has only digits must not repeat itself either, and has 18 of them at most.
    first = int(run, 16) * 1_000_000
    for count, line in enumerate(workload):
        known = {
            key: str(value) for key, value in msgspec.json.decode(line.payload, type=dict[str, object]).items()
        }
        wanted = fields or [Field(key) for key in known]
        known = {key.lower(): value for key, value in known.items()}
        digits = str(first + count * devices + number)
        values = {each.name: _value(each, known, line.id, digits, name, random) for each in wanted}
        yield Line(line.id, encode(values))


def recorded(frames: Sequence[bytes], run: str, device: int, *, again: bool) -> Iterator[Line]:
    """Yield the frames of a recording as one device's lines; ``again`` begins it anew at its end, for ever."""
    for number, frame in enumerate(cycle(frames) if again else iter(frames), 1):
        yield Line(f"{run}-{device:02d}-{number:06d}", frame)


def frames_of(recording: bytes) -> list[bytes]:
    """Return the frames of a file that has one a line; blank lines are none."""
    return [line for line in recording.replace(b"\r\n", b"\n").split(b"\n") if line.strip()]


def share(lines: Iterator[Line], count: int | None, number: int, devices: int) -> Iterator[Line]:
    """Return one device's share of so many lines; all where there is no such number."""
    if count is None:
        return lines
    each, extra = divmod(count, devices)
    return islice(lines, each + (number < extra))


def _value(field: Field, known: Mapping[str, str], key: str, digits: str, device: str, random: Random) -> str:
    if field.key:
        narrow = field.kind is not None or (field.width is not None and field.width < len(key))
        return digits[-field.width :] if narrow and field.width else digits if narrow else key
    text = device if field.device else known.get(field.name.lower())
    if text is not None and _fits(field, text):
        return text
    return _made_up(field, random)[: field.width]


def _fits(field: Field, text: str) -> bool:
    if field.width is not None and len(text) > field.width:
        return False
    if field.kind is not None:
        try:
            typed(field.name, text, field.kind, field.decimal)
        except Misfit:
            return False
    return True


def _made_up(field: Field, random: Random) -> str:
    match field.kind:
        case "int":
            return str(random.randrange(1, 10))
        case "bool":
            return random.choice("01")
        case "decimal" if field.width is None or field.width >= 3:
            return f"{random.randrange(1, 10)}{field.decimal}{random.randrange(10)}"
        case "decimal":
            return str(random.randrange(1, 10))
    code = random.choice(_CODES)
    return code if field.width is None else code[-field.width :]
