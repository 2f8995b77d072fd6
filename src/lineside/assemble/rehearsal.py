"""What a configuration makes of lines: the gateway's own framing, decoders and routes, and nothing behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from lineside.assemble.formats import JsonFormat
from lineside.assemble.framings import LengthFraming, StxEtxFraming
from lineside.assemble.settings import LinesSourceSettings, Settings
from lineside.assemble.sqlsettings import SqlSourceSettings
from lineside.assemble.translation import compile_route, decoder_of, framing_of, limits_of
from lineside.model.event import Event, Record, Seq
from lineside.model.outcome import Refused, Skipped
from lineside.model.ports import Delivery, Pending, Ready
from lineside.wire.framing import Fault, Framing
from lineside.wire.jsonl import JsonLines
from lineside.wire.lines import Frame, content, split, too_long

EPOCH = "rehearsal"
"""The run of rehearsed records: the first one's ``event.id`` is ``rehearsal-1``."""
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
        lines = table if isinstance(table, LinesSourceSettings) else None
        self._format = JsonFormat(type="json") if lines is None else lines.format
        self._framed = lines is not None and isinstance(lines.framing, StxEtxFraming | LengthFraming)
        self._fields = JsonLines(None if isinstance(table, SqlSourceSettings) else table.dedupe, table.device)
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
        table = self._format
        if isinstance(sample, dict):
            data = msgspec.json.encode(sample)
            if isinstance(table, JsonFormat):
                return list(self.lines([data]))
            return [self._follow(1, True, self._fields.decode(data, SENDER))]
        encoding = "utf-8" if isinstance(table, JsonFormat) else table.encoding
        try:
            data = sample.encode(encoding)
        except UnicodeError as wrong:
            raise ValueError(f"{encoding} has no letters for the input") from wrong
        if not self._framed:
            return list(self.lines([data]))
        event = self._decode(Frame(1, data, len(data), True))
        return [] if event is None else [self._follow(1, True, event)]

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
