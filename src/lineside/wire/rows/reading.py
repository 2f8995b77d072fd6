"""What the rows of a file say: each becomes an event, a batch at a time. Pure."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import starmap
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct

from lineside.model.batch import Batch
from lineside.model.event import Event
from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Kind, Misfit, batches_of, typed
from lineside.wire.rows.cutting import BadRow, Row

_SURE = 15
"""Digits that a whole number may have without a closer look."""


class NoRows(ValueError):
    """A file cannot be read at all; the text is ``code: reason``, without its contents."""


class About(Struct, frozen=True):
    """What each event says of the file it comes from."""

    field: str
    """Under which name."""
    name: str
    digest: str

    def prefix(self) -> bytes:
        """Return the beginning of each event's JSON, up to the number of its row."""
        told = msgspec.json.encode({"name": self.name, "hash": self.digest})
        return b"{" + msgspec.json.encode(self.field) + b":" + told[:-1] + b',"row":'


class Sheet(Protocol):
    """Turns the rows of one file into events."""

    def data(self, rows: list[Row]) -> list[Row]:
        """Return those of the next rows that are data; a header is none.

        Raises:
            NoRows: the header does not fit.

        """
        ...

    def decode(self, rows: list[Row]) -> Batch:
        """Return the events of rows that are data, at least one."""
        ...


class Decoded:
    """Rows that a decoder turns into events, one by one.

    Args:
        decoder: of one row.
        sender: whose the events are.

    """

    def __init__(self, decoder: Decoder, sender: str) -> None:
        self._decode = batches_of(decoder)
        self._sender = sender

    def data(self, rows: list[Row]) -> list[Row]:
        """Return all of them; see `Sheet.data`."""
        return rows

    def decode(self, rows: list[Row]) -> Batch:
        """Decode rows; see `Sheet.decode`."""
        return _decode_rows(rows, self._decode, self._sender)


class CsvSheet:
    """Rows of CSV, whose names may stand in the first one.

    Args:
        form: how rows are read; with a header its columns are those wanted, none for all of the header's.
        sender: whose the events are.
        header: whether the first row has the names.

    """

    def __init__(self, form: Csv, sender: str, *, header: bool) -> None:
        self._form = form
        self._sender = sender
        self._decode = None if header else _csv_batches(form)

    def data(self, rows: list[Row]) -> list[Row]:
        """Return rows without the header; see `Sheet.data`."""
        if self._decode is None and rows:
            names = _names(rows[0], self._form)
            self._decode = _csv_batches(msgspec.structs.replace(self._form, columns=names))
            return rows[1:]
        return rows

    def decode(self, rows: list[Row]) -> Batch:
        """Decode rows; see `Sheet.decode`."""
        assert self._decode is not None
        return _decode_rows(rows, self._decode, self._sender)


def _decode_rows(rows: list[Row], decode: Callable[[list[bytes], str | None], Batch], sender: str) -> Batch:
    if BadRow not in set(map(type, rows)):
        return decode(cast(list[bytes], rows), sender)
    return Batch.of(
        [
            Event(b"", raw=row.data, device=sender, error=row.error)
            if isinstance(row, BadRow)
            else decode([row], sender).event(0)
            for row in rows
        ]
    )


def _names(row: Row, form: Csv) -> tuple[str, ...]:
    if isinstance(row, BadRow):
        raise NoRows("header: the first row, which has the names, makes no row")
    try:
        text = row.decode(form.reading.encoding)
    except UnicodeError as wrong:
        raise NoRows(f"encoding: the first row, which has the names, is not {form.reading.encoding}") from wrong
    try:
        found = next(csv.reader([text], **_dialect(form)))
    except (csv.Error, StopIteration) as wrong:
        raise NoRows(f"header: {wrong}") from wrong
    names = [name.strip() for name in found]
    wanted = [name for name in form.columns if name]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise NoRows(f"header: there is no column {', '.join(missing)}")
    named = [name for name in names if name]
    double = next((name for name in named if named.count(name) > 1), None)
    if double is not None and (not wanted or double in wanted):
        raise NoRows(f'header: there are two columns "{double}"')
    if not named:
        raise NoRows("header: no column has a name")
    for name in (form.reading.dedupe, form.reading.device, *form.reading.types):
        if name is not None and name not in names:
            raise NoRows(f"header: there is no column {name}")
    return tuple(name if not wanted or name in wanted else "" for name in names)


def _dialect(form: Csv) -> dict[str, Any]:
    return {
        "delimiter": form.delimiter,
        "quotechar": form.quotechar or None,
        "quoting": csv.QUOTE_MINIMAL if form.quotechar else csv.QUOTE_NONE,
        "strict": True,
    }


def _csv_batches(form: Csv) -> Callable[[list[bytes], str | None], Batch]:
    """Return what makes of many rows what `Csv.decode` makes of each, all at once where all are well."""
    slow = batches_of(form)
    reading = form.reading
    kept = [place for place, name in enumerate(form.columns) if name]
    names = [form.columns[place] for place in kept]
    count = len(form.columns)
    every = len(names) == count
    dialect = _dialect(form)
    make = _maker(names)
    # One that gives a key or names a device is read as it stands in JSON.
    if reading.dedupe in reading.types or reading.device in reading.types:
        return slow
    typing = [(names.index(name), name, kind) for name, kind in reading.types.items() if name in names]
    write = msgspec.json.Encoder().encode_lines

    def decode(rows: list[bytes], sender: str | None) -> Batch:
        if len(rows) == 1:
            return slow(rows, sender)
        try:
            texts = b"\n".join(rows).decode(reading.encoding)
            lines = texts.split("\n")
            if len(lines) != len(rows):
                # Line ends in quotation marks.
                lines = [row.decode(reading.encoding) for row in rows]
            values: list[list[Any]] = list(csv.reader(lines, **dialect))
        except (UnicodeError, csv.Error):
            return slow(rows, sender)
        if len(values) != len(rows) or set(map(len, values)) != {count}:
            return slow(rows, sender)
        if not every:
            values = [[each[place] for place in kept] for each in values]
        if form.strip:
            values = [[value.strip() for value in each] for each in values]
        try:
            for at, name, kind in typing:
                for each in values:
                    each[at] = _typed(each[at], name, kind, reading.decimal)
        except Misfit:
            return slow(rows, sender)
        # In JSON no line end stands as it is.
        batch = Batch(write(make(values)).split(b"\n")[:-1], sender)
        if reading.dedupe is not None:
            at = names.index(reading.dedupe)
            batch.keys = [each[at] or None for each in values]
        if reading.device is not None:
            at = names.index(reading.device)
            batch.devices = {place: each[at] for place, each in enumerate(values) if each[at]}
        return batch

    return decode


def _typed(text: str, name: str, kind: Kind, decimal: str) -> object:
    if kind == "int" and text.isascii() and text.isdigit() and len(text) <= _SURE:
        return int(text)
    return typed(name, text.strip(), kind, decimal)


def _maker(names: list[str]) -> Callable[[list[list[Any]]], list[Any]]:
    """Return what makes objects with these fields of rows of values."""
    fields: list[tuple[str, Any]] = [(f"field_{place}", Any) for place in range(len(names))]
    rename = dict(zip((name for name, _ in fields), names, strict=True))
    try:
        line = msgspec.defstruct("Line", fields, rename=rename, gc=False)
    except ValueError:
        # A name with a quotation mark, say.
        return lambda values: [dict(zip(names, each, strict=True)) for each in values]
    # Neither making nor writing one takes a turn of Python's for each field.
    return lambda values: list(starmap(line, values))


def tell_origin(batch: Batch, about: About, first: int) -> Batch:
    """Return a batch whose events say which row of which file they are, the first of them the row ``first``.

    The raw bytes of what was decoded are left out: they stand in the file.
    """
    prefix = about.prefix()
    own = msgspec.json.encode(about.field)
    together = b"\n".join(batch.bodies)
    plain = together.startswith(b'{"') and together.count(b'\n{"') == len(batch) - 1
    if plain and not batch.errors and own not in together:
        bodies = [b"%b%d},%b" % (prefix, row, body[1:]) for row, body in enumerate(batch.bodies, first)]
        return msgspec.structs.replace(batch, bodies=bodies, raws={})
    errors = dict(batch.errors)
    raws = {place: batch.raws[place] for place in errors if place in batch.raws}
    bodies = list(batch.bodies)
    for place, body in enumerate(bodies):
        if place in errors:
            continue
        if own in body and about.field in msgspec.json.decode(body):
            raws[place] = batch.raws.get(place, body)
            bodies[place] = b""
            errors[place] = f'field: a row has a field "{about.field}" of its own; set the key about of the source'
            continue
        rest = body[1:] if body.startswith(b'{"') else body.lstrip()[1:].lstrip()
        bodies[place] = b"%b%d}%b%b" % (prefix, first + place, b"" if rest.startswith(b"}") else b",", rest)
    keys = batch.keys if not errors or batch.keys is None else _keys_without(batch.keys, errors)
    return msgspec.structs.replace(batch, bodies=bodies, raws=raws, errors=errors, keys=keys)


def _keys_without(keys: list[str | None], errors: dict[int, str]) -> list[str | None]:
    return [None if place in errors else key for place, key in enumerate(keys)]
