"""From fields to a frame's contents: what the device would have sent that a source's format is made for. Pure."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Mapping
from functools import singledispatch

import msgspec

from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder
from lineside.wire.fixed import FixedWidth
from lineside.wire.jsonl import JsonLines
from lineside.wire.keyvalue import KeyValue
from lineside.wire.pattern import Pattern
from lineside.wire.raw import Raw


class NotWritable(ValueError):
    """A format cannot hold these fields; the text is one line."""


def encode(decoder: Decoder, fields: Mapping[str, str]) -> bytes:
    """Return the contents of which the decoder makes these fields; other ones are left out, missing ones empty.

    Raises:
        NotWritable: no frame of the format holds them, or nobody can tell which.

    """
    if isinstance(decoder, JsonLines):
        return msgspec.json.encode(fields)
    if isinstance(decoder, Raw) and decoder.form != "text":
        return _bytes_of(decoder, fields.get(decoder.field, ""))
    text = _text(decoder, fields)
    encoding: str = decoder.reading.encoding  # type: ignore[attr-defined]
    try:
        return text.encode(encoding)
    except UnicodeError as wrong:
        raise NotWritable(f"{encoding} has no letters for them") from wrong


@singledispatch
def _text(decoder: Decoder, fields: Mapping[str, str]) -> str:
    raise NotWritable(f"nothing is known of {type(decoder).__name__}")


@_text.register
def _csv(decoder: Csv, fields: Mapping[str, str]) -> str:
    written = io.StringIO()
    writer = csv.writer(
        written,
        delimiter=decoder.delimiter,
        quotechar=decoder.quotechar or None,
        quoting=csv.QUOTE_MINIMAL if decoder.quotechar else csv.QUOTE_NONE,
        lineterminator="",
    )
    try:
        writer.writerow([fields.get(name, "") if name else "" for name in decoder.columns])
    except csv.Error as wrong:
        raise NotWritable("a value holds the delimiter, and there are no quotation marks") from wrong
    return written.getvalue()


@_text.register
def _keyvalue(decoder: KeyValue, fields: Mapping[str, str]) -> str:
    pairs = []
    for key, value in fields.items():
        if not key.strip() or key.strip() != key or decoder.assign in key or decoder.delimiter in key:
            raise NotWritable(f"{key!r} cannot be a key")
        pairs.append(f"{key}{decoder.assign}{_quoted(decoder, value)}")
    return decoder.delimiter.join(pairs)


def _quoted(decoder: KeyValue, value: str) -> str:
    mark = decoder.quotechar
    if decoder.delimiter not in value and value.strip() == value and not (mark and value.startswith(mark)):
        return value
    if not mark:
        raise NotWritable("a value holds the delimiter, and there are no quotation marks")
    return f"{mark}{value.replace(mark, mark + mark)}{mark}"


@_text.register
def _fixed(decoder: FixedWidth, fields: Mapping[str, str]) -> str:
    length = decoder.length or max(column.end for column in decoder.columns)
    characters = [" "] * length
    for column in decoder.columns:
        value = fields.get(column.name, "")
        if len(value) > column.width:
            raise NotWritable(f"{column.name} has {column.width} characters, the value {len(value)}")
        characters[column.start : column.end] = value.ljust(column.width)
    return "".join(characters)


@_text.register
def _raw(decoder: Raw, fields: Mapping[str, str]) -> str:
    return fields.get(decoder.field, "")


@_text.register
def _pattern(decoder: Pattern, fields: Mapping[str, str]) -> str:
    raise NotWritable("what a regular expression matches cannot be made up")


def _bytes_of(decoder: Raw, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if decoder.form == "base64" else bytes.fromhex(value)
    except (binascii.Error, ValueError) as wrong:
        raise NotWritable(f"{decoder.field} is no {decoder.form}") from wrong
