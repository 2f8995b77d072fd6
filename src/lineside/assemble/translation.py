"""From what the configuration says to the plain values that parts take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from msgspec.structs import replace

from lineside.assemble.filesettings import FileKeys
from lineside.assemble.formats import CsvFormat, FixedColumn, FixedFormat, KeyValueFormat, RawFormat, RegexFormat
from lineside.assemble.framings import CrFraming, CrlfFraming, LengthFraming, LfFraming, StxEtxFraming
from lineside.assemble.frappesettings import FrappeSourceSettings
from lineside.assemble.httpsettings import HttpSourceSettings
from lineside.assemble.linessettings import LinesSourceSettings, StreamKeys
from lineside.assemble.routesettings import AttachmentSettings, RouteSettings
from lineside.assemble.settings import Settings, SourceSettings
from lineside.assemble.sqlsettings import SqlSourceSettings
from lineside.assemble.tasksourcesettings import TaskSourceSettings
from lineside.delivery.attachments import AttachmentTemplate
from lineside.delivery.results import MAX_CONTENT
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.edges.frappe.webhook import WebhookFormat
from lineside.edges.lines.intake import Limits
from lineside.model.ports import ConsumerSpec
from lineside.security.limits import Rate
from lineside.wire.csv import Csv
from lineside.wire.decoding import Decoder, Reading
from lineside.wire.fixed import Column, FixedWidth
from lineside.wire.framing import Delimited, Framing
from lineside.wire.jsonl import JsonLines
from lineside.wire.keyvalue import KeyValue
from lineside.wire.lengths import LengthPrefixed
from lineside.wire.pattern import Pattern, compile_pattern
from lineside.wire.patterncost import longest_match
from lineside.wire.raw import Raw
from lineside.wire.stxetx import StxEtx


def compile_route(settings: Settings, name: str) -> Route:
    """Return a route with its templates compiled; the configuration was checked when it was loaded."""
    route = settings.routes[name]
    path = f"routes.{name}"
    target = settings.target_of(route)
    return Route(
        id=route.id or name,
        sources=frozenset(route.sources or settings.sources),
        target=target,
        action=route.action,
        doctype=route.doctype or route.table or "",
        document=compile_template(route.document, f"{path}.document"),
        when=None if route.when is None else compile_condition(route.when, f"{path}.when"),
        order_by=route.order_by,
        concurrency=route.concurrency or settings.targets[target].concurrency,
        batch=route.at_once,
        match=None if route.match is None else compile_template(route.match, f"{path}.match"),
        submit=route.submit,
        method=route.method or "",
        attachments=tuple(
            compile_attachment(each, f"{path}.attachments[{index}]") for index, each in enumerate(route.attachments)
        ),
    )


def compile_attachment(settings: AttachmentSettings, path: str) -> AttachmentTemplate:
    """Return one file of a route's documents with its templates compiled."""
    return AttachmentTemplate(
        path=path,
        name=compile_template(settings.name, f"{path}.name"),
        content=compile_template(settings.content, f"{path}.content", MAX_CONTENT),
        encoding=settings.encoding,
        private=settings.is_private,
        field=settings.fieldname or "",
        optional=settings.optional,
    )


def consumer_spec(settings: RouteSettings, route: Route) -> ConsumerSpec:
    """Return how a route reads the journal."""
    return ConsumerSpec(
        id=route.id,
        sources=route.sources,
        accepts=route.accepts,
        order_key=route.order_key,
        order_by=route.order_by,
        max_deliver=settings.max_deliver,
        deliver_policy=settings.deliver_policy,
    )


def decoder_of(source: SourceSettings) -> Decoder:  # noqa: PLR0911 (one for each format)
    """Return what turns a source's frames into events; of a table its rows as JSON, as they are rehearsed."""
    if isinstance(source, SqlSourceSettings):
        return JsonLines(None, source.device)
    if isinstance(source, FrappeSourceSettings):
        return WebhookFormat(source.doctype, source.device)
    if isinstance(source, HttpSourceSettings | TaskSourceSettings | FileKeys):
        return JsonLines(source.dedupe, source.device)
    table = source.format
    reading = Reading(source.dedupe, source.device)
    match table:
        case RawFormat():
            return Raw(table.field, table.form, replace(reading, encoding=table.encoding))
        case CsvFormat() | KeyValueFormat() | RegexFormat() | FixedFormat():
            reading = replace(reading, encoding=table.encoding, types=table.types, decimal=table.decimal)
    match table:
        case CsvFormat():
            return Csv(table.columns, table.delimiter, table.quotechar, table.strip, reading)
        case KeyValueFormat():
            return KeyValue(table.delimiter, table.assign, table.quotechar, reading)
        case RegexFormat():
            return Pattern(compile_pattern(table.pattern), longest_match(table.pattern), reading)
        case FixedFormat():
            return FixedWidth(columns_of(table.columns), table.length, table.strip, table.pad, reading)
        case _:
            return JsonLines(source.dedupe, source.device)


def columns_of(settings: Iterable[FixedColumn]) -> tuple[Column, ...]:
    """Return columns with their places; one that does not say where it begins follows the one before it."""
    columns: list[Column] = []
    for column in settings:
        follows = columns[-1].end if columns else 0
        start = follows if column.start is None else column.start - 1
        columns.append(Column(column.name, start, column.width))
    return tuple(columns)


def framing_of(source: SourceSettings) -> Callable[[], Framing] | None:
    """Return what makes the framing of one of a source's streams; None for lines that end with LF."""
    if not isinstance(source, StreamKeys):
        return None
    table, most, kept = source.framing, source.max_line, limits_of(source).max_kept
    match table:
        case LfFraming():
            return None
        case CrlfFraming():
            return partial(Delimited, b"\r\n", most, kept)
        case CrFraming():
            return partial(Delimited, b"\r", most, kept)
        case LengthFraming():
            return partial(LengthPrefixed, table.size, table.order, most, inclusive=table.inclusive)
        case StxEtxFraming():
            return partial(
                StxEtx,
                most,
                kept,
                checksum=table.checksum == "lrc",
                covers=table.covers,
                dle=table.dle,
                ack_nak=table.answers == "ack-nak",
            )


def limits_of(source: SourceSettings) -> Limits:
    """Return what a source bears."""
    if isinstance(source, SqlSourceSettings | FrappeSourceSettings | TaskSourceSettings | FileKeys):
        return Limits(max_line=16_777_216, max_kept=16_777_216, ack=False)
    if isinstance(source, HttpSourceSettings):
        return Limits(max_line=source.max_event, max_kept=source.max_event)
    return Limits(
        max_line=source.max_line,
        max_kept=4 * source.max_line,
        max_in_flight=source.max_in_flight,
        max_connections=source.max_connections if isinstance(source, LinesSourceSettings) else 1,
        idle_timeout=source.idle_timeout,
        ack=source.ack,
        rate=source.rate if isinstance(source.rate, Rate) else None,
    )
