"""What a configuration makes of lines: the gateway's own framing, decoders and routes, and nothing behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import msgspec
from msgspec import Struct

from lineside.assemble.filesettings import FileKeys
from lineside.assemble.formats import JsonFormat
from lineside.assemble.framings import LengthFraming, StxEtxFraming
from lineside.assemble.linessettings import StreamKeys
from lineside.assemble.settings import Settings
from lineside.assemble.table import Table
from lineside.assemble.translation import compile_route, decoder_of, framing_of, limits_of
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Record, Seq
from lineside.model.outcome import Refused, Skipped
from lineside.model.ports import Delivery, Pending, Ready
from lineside.wire.framing import Fault, Framing
from lineside.wire.jsonl import JsonLines
from lineside.wire.lines import Frame, content, split, too_long
from lineside.wire.rows.forms import Surveyed
from lineside.wire.rows.reading import About, NoRows

EPOCH = "rehearsal"
"""The run of rehearsed records: the first one's ``event.id`` is ``rehearsal-1``."""
FILE = About("file", "rehearsal", "0" * 64)
"""What rehearsed rows say of their file."""
KEPT = 16 * 1024 * 1024
"""Bytes of a file that are kept in memory; a larger one is on the disk meanwhile."""
SENDER = "127.0.0.1"
"""The address from which rehearsed lines come; it is the device where the line names none."""

Rendered = Delivery | Refused | Skipped


class Rehearsed(Struct, frozen=True):
    """What would become of one line."""

    line: int
    """Its place in the input, from 1."""
    ended: bool
    """Its end came; a gateway would wait for it."""
    event: Event
    repeats: int | None
    """The earlier line with the same key: this one would get its answer, and become no event."""
    routes: dict[str, Rendered]
    """By the route's name, of those that take the source's events; empty where there is no new event."""


class Zone(Struct, frozen=True):
    """In which zone ``site_time`` writes for a target."""

    name: str
    """IANA name."""
    configured: bool
    """The configuration says so. A gateway would ask the target first; here UTC stands in."""


def zone_of(settings: Settings, target: str) -> Zone:
    """Return the zone in which a target's times are rehearsed."""
    configured = settings.zone_of(target)
    return Zone(configured or "UTC", configured is not None)


class Rehearsal:
    """One source and its routes, with a memory of the keys it has seen. Neither journal nor network is touched.

    Args:
        settings: secrets are not needed.
        source: the source's name, one of the settings'.
        now_ns: the wall clock, for ``event.received``.
        ready: what targets said of themselves, by name; for the others `zone_of` stands in.

    """

    def __init__(
        self,
        settings: Settings,
        source: str,
        now_ns: Callable[[], int],
        ready: Mapping[str, Ready] | None = None,
    ) -> None:
        self._source = source
        self._now_ns = now_ns
        table = settings.sources[source]
        lines = table if isinstance(table, StreamKeys) else None
        self._format = JsonFormat(type="json") if lines is None else lines.format
        self._framed = lines is not None and isinstance(lines.framing, StxEtxFraming | LengthFraming)
        self._fields = JsonLines(getattr(table, "dedupe", None), table.device)
        self._files = table if isinstance(table, FileKeys) else None
        self._decoder = decoder_of(table)
        self._framing = framing_of(table)
        self._limits = limits_of(table)
        told = {target: Ready(zone_of(settings, target).name) for target in settings.targets} | dict(ready or {})
        self._routes = {
            name: (compile_route(settings, name), told[settings.target_of(route)])
            for name, route in settings.routes.items()
            if source in settings.sources_of(route)
        }
        self._seen: dict[str, int] = {}
        self._stored = 0

    def lines(self, chunks: Iterable[bytes]) -> Iterator[Rehearsed]:
        """Yield what would become of each line, or frame, of a stream as it comes; empty ones become nothing."""
        if self._files is not None:
            yield from self._rows(self._files, chunks)
            return
        if self._framing is not None:
            yield from self._frames(self._framing(), chunks)
            return
        for frame in split(chunks, self._limits.max_kept):
            event = self._decode(frame)
            if event is not None:
                yield self._follow(frame.number, frame.ended, event)

    def example(self, sample: str | dict[str, Any]) -> list[Rehearsed]:
        """Return what would become of a sample: text is one frame's contents, a table its fields.

        Of lines the line end may stand there, too, and so they may be several.

        Raises:
            ValueError: the source's encoding does not have the text.

        """
        table: Table = self._format
        if self._files is not None:
            table = self._files.format
            if isinstance(sample, dict):
                about = {"name": FILE.name, "hash": FILE.digest, "row": 1}
                sample = {self._files.about: about} | sample
        if isinstance(sample, dict):
            data = msgspec.json.encode(sample)
            if isinstance(table, JsonFormat) and self._files is None:
                return list(self.lines([data]))
            return [self._follow(1, True, self._fields.decode(data, SENDER))]
        encoding = getattr(table, "encoding", "utf-8")
        try:
            data = sample.encode(encoding)
        except UnicodeError as wrong:
            raise ValueError(f"{encoding} has no letters for the input") from wrong
        if not self._framed:
            return list(self.lines([data]))
        event = self._decode(Frame(1, data, len(data), True))
        return [] if event is None else [self._follow(1, True, event)]

    def _rows(self, files: FileKeys, chunks: Iterable[bytes]) -> Iterator[Rehearsed]:
        from lineside.assemble.files import form_of  # noqa: PLC0415 (its formats may be extras)

        form = form_of(files)
        with SpooledTemporaryFile(KEPT) as file:
            for chunk in chunks:
                file.write(chunk)
            pieces = partial(_pieces, file)
            try:
                found = Surveyed()
                survey = form.survey()
                if survey is not None:
                    for piece in pieces():
                        survey.feed(piece)
                    found = survey.end()
                if found.refusal is not None:
                    raise NoRows(found.refusal)
                reader = form.reader(msgspec.structs.replace(FILE, field=files.about), SENDER)
                number = 0
                for rows in (*map(reader.feed, pieces()), reader.end()):
                    for row in rows:
                        number += 1
                        if found.rows is None or number <= found.rows:
                            yield self._follow(number, True, reader.batch([row], number).event(0))
            except NoRows as wrong:
                raise LinesideError(f"the file would be refused: {wrong}") from wrong

    def _frames(self, framing: Framing, chunks: Iterable[bytes]) -> Iterator[Rehearsed]:
        number = 0
        for chunk in chunks:
            for found in framing.feed(chunk):
                number += 1
                yield self._follow(number, True, self._event(found))
        for fault in framing.close():
            number += 1
            yield self._follow(number, True, self._event(fault))
        if framing.pending:
            event = self._decode(Frame(number + 1, framing.beginning, framing.pending, False))
            if event is not None:
                yield self._follow(number + 1, False, event)

    def _event(self, found: bytes | Fault) -> Event:
        return found.event(SENDER) if isinstance(found, Fault) else self._decoder.decode(found, SENDER)

    def _decode(self, frame: Frame) -> Event | None:
        if frame.size > self._limits.max_line:
            return too_long(frame.data, frame.size, self._limits.max_line, SENDER)
        said = content(frame.data)
        return self._decoder.decode(said, SENDER) if said else None

    def _follow(self, number: int, ended: bool, event: Event) -> Rehearsed:
        repeats = None if event.key is None else self._seen.get(event.key)
        routes: dict[str, Rendered] = {}
        if repeats is None:
            self._stored += 1
            if event.key is not None:
                self._seen[event.key] = number
            if event.error is None:
                record = Record(Seq(self._stored), EPOCH, self._source, self._now_ns(), event)
                pending = Pending(record, 1)
                routes = {name: route.render(pending, ready) for name, (route, ready) in self._routes.items()}
        return Rehearsed(number, ended, event, repeats, routes)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(65_536):
        yield piece
