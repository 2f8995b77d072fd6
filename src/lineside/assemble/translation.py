"""From what the configuration says to the plain values that parts take."""

from __future__ import annotations

from lineside.assemble.settings import AttachmentSettings, LinesSourceSettings, RouteSettings, Settings
from lineside.delivery.attachments import AttachmentTemplate
from lineside.delivery.results import MAX_CONTENT
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.edges.lines.intake import Limits
from lineside.model.ports import ConsumerSpec
from lineside.wire.jsonl import JsonLines


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
        doctype=route.doctype or "",
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


def decoder_of(source: LinesSourceSettings) -> JsonLines:
    """Return what turns a source's frames into events."""
    return JsonLines(source.dedupe, source.device)


def limits_of(source: LinesSourceSettings) -> Limits:
    """Return what a source bears."""
    return Limits(
        max_line=source.max_line,
        max_kept=4 * source.max_line,
        max_in_flight=source.max_in_flight,
        max_connections=source.max_connections,
        idle_timeout=source.idle_timeout,
        ack=source.ack,
    )
