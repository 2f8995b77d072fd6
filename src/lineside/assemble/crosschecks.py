"""What must hold between the tables of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from lineside.assemble.clientendpoints import parse_client
from lineside.assemble.endpoints import Listen, parse_listener
from lineside.assemble.exposure import check_door
from lineside.assemble.frappesettings import warn_of_frappe_sources
from lineside.assemble.frappetargetsettings import FrappeTargetSettings
from lineside.assemble.linessettings import LinesSourceSettings
from lineside.assemble.settings import Settings
from lineside.assemble.sqlsettings import warn_of_databases
from lineside.assemble.tlssettings import check_guests
from lineside.assemble.zones import zone_warnings
from lineside.model.errors import LinesideError
from lineside.model.wording import did_you_mean, key_path


class Tables(Struct, frozen=True):
    """The named tables as they stand in the file: what is wrong inside them is found elsewhere."""

    targets: Mapping[str, Any]
    sources: Mapping[str, Any]
    routes: Mapping[str, Any]
    tasks: bool = False
    """Whether there are tasks, which need nothing of all this."""


def cross_check(tables: Tables, tests: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong between the tables, one line each, with key paths."""
    return [
        *_lacking(tables),
        *_ways_in(tables.sources),
        *_conflicting_listeners(tables.sources),
        *_shared_devices(tables.sources),
        *_idle_authorities(tables.targets),
        *_double_ids(tables.routes),
        *_dangling_routes(tables),
        *_actions(tables),
        *_rows(tables),
        *_attached_fields(tables.routes),
        *_reserved_fields(tables),
        *_dangling_tests(tables, tests),
    ]


def unfit_lists(sources: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with lists of revoked certificates, as far as their sources could be read."""
    for name, source in sources.items():
        if not isinstance(source, LinesSourceSettings) or source.crl is None or not source.ca:
            continue
        # Only who has one waits for OpenSSL.
        from lineside.security.revocations import read_revoked  # noqa: PLC0415

        try:
            read_revoked(source.crl, source.ca, datetime.now(UTC))
        except LinesideError as wrong:
            yield f"{key_path('sources', name, 'crl')}: {wrong}"


def warn(settings: Settings) -> list[str]:
    """Return what works but had better be otherwise, one line each."""
    used = {source for route in settings.routes.values() for source in settings.sources_of(route)}
    lines = [
        f"{key_path('sources', name)}: no route takes its events; they are kept, and delivered nowhere"
        for name in settings.sources
        if name not in used and not any(name in task.sources for task in settings.tasks.values())
    ]
    asked = {settings.shown_from(view) for view in settings.erp.values()}
    asked |= {settings.shown_from(call) for call in settings.calls.values()}
    asked |= {task.target or next(iter(settings.sites), "") for task in settings.tasks.values()}
    lines += [
        f"{key_path('targets', name)}: no route leads here"
        for name in settings.targets
        if all(settings.target_of(route) != name for route in settings.routes.values()) and name not in asked
    ]
    lines += [
        f"{key_path('routes', name)}.action: a call whose answer is lost is made again; may it happen twice?"
        for name, route in settings.routes.items()
        if route.action == "call"
    ]
    lines += [
        f"{key_path('routes', name)}: two first events for one document may both insert it; set order_by"
        for name, route in settings.routes.items()
        if route.action == "upsert" and route.order_by is None
    ]
    lines += [] if settings.dns is None else zone_warnings(settings.dns)
    lines += [
        f"{key_path('targets', name)}.url: the API key crosses the network unencrypted; use https"
        for name, target in settings.sites.items()
        if target.address.startswith("http:") and not _local(urlsplit(target.address).hostname or "")
    ]
    lines += warn_of_databases(settings.databases)
    lines += warn_of_frappe_sources(settings.hooks)
    shown = {
        *((settings.http and settings.http.tls) or ()),
        *(t for s in settings.lines.values() for t in s.tls or ()),
    }
    lines += [f"{key_path('tls', name)}: no listener shows it" for name in settings.tls if name not in shown]
    if settings.queries and settings.http is None:
        lines.append("queries: nobody can ask them without a table [http]")
    if settings.erp and settings.http is None:
        lines.append("erp: nobody can look without a table [http]")
    return lines


def _local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _lacking(tables: Tables) -> Iterator[str]:
    for key in () if tables.tasks else ("targets", "sources", "routes"):
        if not getattr(tables, key):
            yield f"{key}: there are none; add a table [{key}.NAME]"


_ONLY_WITH = {
    "poll": ("connect", "only a device that is dialled can be asked; set connect, or remove it"),
    "max_connections": ("listen", "one device is dialled; remove it"),
}
"""By key: what a source must have beside it, and what to do where it has not."""
_NO_CONNECTION = {
    "ack": "datagrams are never answered; remove it",
    "framing": "a datagram holds lines that end with LF; remove it",
    "commands": "datagrams have no connection over which commands could go; remove it",
    "max_connections": "datagrams have no connection; remove it",
    "idle_timeout": "datagrams have no connection; remove it",
}
"""By key of a source that takes datagrams: what to do about it."""


def _ways_in(sources: Mapping[str, Any]) -> Iterator[str]:
    for name, source in sources.items():
        if not isinstance(source, dict) or source.get("type", "lines") != "lines":
            continue
        if "listen" not in source and "connect" not in source:
            yield f"{key_path('sources', name, 'listen')}: is missing; or set connect, where the gateway is to dial"
            continue
        if "listen" in source and "connect" in source:
            yield f"{key_path('sources', name, 'connect')}: a source either listens or dials; make two of it"
            continue
        for key, (needed, otherwise) in _ONLY_WITH.items():
            if key in source and needed not in source:
                yield f"{key_path('sources', name, key)}: {otherwise}"
        yield from check_guests(name, source)
        yield from check_door(name, source)
        if str(source.get("listen", "")).startswith("udp:"):
            for key, otherwise in _NO_CONNECTION.items():
                if source.get(key, False) is not False:
                    yield f"{key_path('sources', name, key)}: {otherwise}"


def _shared_devices(sources: Mapping[str, Any]) -> Iterator[str]:
    dialled: dict[str, str] = {}
    for name, connect in _strings(sources, "connect"):
        try:
            dial = parse_client(connect)
        except ValueError:
            continue
        if dial.kind == "serial":
            device = dial.arguments["device"]
            if device in dialled:
                yield f"{key_path('sources', name, 'connect')}: the source {dialled[device]} has this port already"
            dialled.setdefault(device, name)


def _conflicting_listeners(sources: Mapping[str, Any]) -> Iterator[str]:
    listeners: list[tuple[str, Listen]] = []
    for name, listen in _strings(sources, "listen"):
        try:
            listeners.append((name, parse_listener(listen)))
        except ValueError:
            continue
    for (first, one), (second, other) in combinations(listeners, 2):
        if one.conflicts(other):
            yield f"{key_path('sources', second, 'listen')}: the source {first} listens there already"


def _idle_authorities(targets: Mapping[str, Any]) -> Iterator[str]:
    for name, url in _strings(targets, "url"):
        if "ca" in targets[name] and url.lower().startswith(("http:", "srv+http:")):
            yield f"{key_path('targets', name, 'ca')}: http shows no certificate; use https, or remove it"


def _double_ids(routes: Mapping[str, Any]) -> Iterator[str]:
    given = dict(_strings(routes, "id"))
    owners: dict[str, str] = {}
    for name in routes:
        identity = given.get(name, name)
        if identity in owners:
            key = ("routes", name, "id") if name in given else ("routes", name)
            yield f'{key_path(*key)}: the route {owners[identity]} has the id "{identity}" already'
        else:
            owners[identity] = name


def _dangling_routes(tables: Tables) -> Iterator[str]:
    for name, target in _strings(tables.routes, "target"):
        if target not in tables.targets:
            yield _unknown(key_path("routes", name, "target"), "target", target, tables.targets)
    for name, route in tables.routes.items():
        if not isinstance(route, dict):
            continue
        if "target" not in route and len(tables.targets) > 1:
            yield f"{key_path('routes', name, 'target')}: is missing; choose one of {', '.join(tables.targets)}"
        for source in _items(route.get("sources")):
            if source not in tables.sources:
                yield _unknown(key_path("routes", name, "sources"), "source", source, tables.sources)


_USES = {
    "doctype": (frozenset({"insert", "update", "upsert"}), "a call has a method, and no DocType; remove it"),
    "match": (frozenset({"update", "upsert"}), "only update and upsert look for a document first; remove it"),
    "method": (frozenset({"call"}), 'only a call has one; remove it, or set action = "call"'),
    "submit": (frozenset({"insert", "upsert"}), "only inserted and upserted documents are submitted; remove it"),
    "batch": (frozenset({"insert"}), "only inserts go together; remove it"),
    "attachments": (
        frozenset({"insert", "update", "upsert"}),
        "a call makes no document to attach to; remove them",
    ),
}
"""By key: the actions that take it, and what to do about it elsewhere."""
_NEEDED = {
    "doctype": "is missing",
    "match": 'is missing: by which fields is the document found? Such as match = { name = "{{ code }}" }',
    "method": 'is missing: which method is called? Such as method = "app.module.function"',
}


def _actions(tables: Tables) -> Iterator[str]:
    for name, route in tables.routes.items():
        if _leads_to_sql(tables.targets, route):
            continue
        if isinstance(route, dict) and "table" in route:
            yield f"{key_path('routes', name, 'table')}: only a target of the type sql has tables; remove it"
        action = route.get("action", "insert") if isinstance(route, dict) else None
        if action not in {"insert", "update", "upsert", "call"}:
            continue
        for key, (actions, otherwise) in _USES.items():
            where = key_path("routes", name, key)
            if action not in actions and route.get(key, False) is not False:
                yield f"{where}: {otherwise}"
            elif action in actions and key in _NEEDED and key not in route:
                yield f"{where}: {_NEEDED[key]}"
        if action == "insert" and route.get("submit") is True and route.get("batch", 1) != 1:
            yield f"{key_path('routes', name, 'batch')}: documents that are submitted go one by one; remove it"
        elif action == "insert" and route.get("attachments") and route.get("batch", 1) != 1:
            yield f"{key_path('routes', name, 'batch')}: documents with attachments go one by one; remove it"


_NOT_OF_ROWS = {
    "doctype": "a target of the type sql has tables; set table instead",
    "match": "rows are only inserted; remove it",
    "method": "rows are only inserted; remove it",
    "submit": "rows are only inserted; remove it",
    "attachments": "a row has none; remove them",
}


def _rows(tables: Tables) -> Iterator[str]:
    for name, route in tables.routes.items():
        if not _leads_to_sql(tables.targets, route):
            continue
        if "table" not in route:
            yield f"{key_path('routes', name, 'table')}: is missing: which table gets the rows?"
        if route.get("action", "insert") in {"update", "upsert", "call"}:
            yield f"{key_path('routes', name, 'action')}: a target of the type sql only inserts; remove it"
        for key, otherwise in _NOT_OF_ROWS.items():
            if route.get(key, False) is not False:
                yield f"{key_path('routes', name, key)}: {otherwise}"
        id_column = _target(tables.targets, route.get("target")).get("id_column", "lineside_id")
        document = route.get("document")
        if isinstance(document, dict) and id_column in document:
            where = key_path("routes", name, "document")
            yield f"{where}.{id_column}: this is the target's id_column; Lineside fills it with the delivery id"


def _leads_to_sql(targets: Mapping[str, Any], route: object) -> bool:
    return isinstance(route, dict) and _target(targets, route.get("target")).get("type") == "sql"


def _target(targets: Mapping[str, Any], name: object) -> Mapping[str, Any]:
    if name is None and len(targets) == 1:
        [name] = targets
    target = targets.get(name) if isinstance(name, str) else None
    return target if isinstance(target, dict) else {}


def _attached_fields(routes: Mapping[str, Any]) -> Iterator[str]:
    for name, route in routes.items():
        files = route.get("attachments") if isinstance(route, dict) else None
        filled: dict[str, str] = {}
        if files and isinstance(route.get("document"), dict):
            filled = {field: key_path("routes", name, "document", field) for field in route["document"]}
        for index, file in enumerate(files if isinstance(files, list) else ()):
            field = file.get("fieldname") if isinstance(file, dict) else None
            if not isinstance(field, str):
                continue
            where = key_path("routes", name, "attachments", index, "fieldname")
            if field in filled:
                yield f"{where}: {filled[field]} fills this field already"
            filled.setdefault(field, where)


def _reserved_fields(tables: Tables) -> Iterator[str]:
    for name, route in tables.routes.items():
        document = route.get("document") if isinstance(route, dict) else None
        if not isinstance(document, dict):
            continue
        where = key_path("routes", name, "document")
        action = route.get("action", "insert")
        if action == "call" or _leads_to_sql(tables.targets, route):
            continue
        id_field = _id_field(tables.targets, route.get("target"))
        if id_field is not None and id_field in document:
            yield f"{where}.{id_field}: this is the target's id_field; Lineside fills it with the delivery id"
        if "doctype" in document:
            yield f"{where}.doctype: the DocType stands beside the document, as {key_path('routes', name)}.doctype"
        if "docstatus" in document and action in {"insert", "upsert"}:
            yield f"{where}.docstatus: set submit = true in {key_path('routes', name)} instead"
        if "name" in document and action in {"update", "upsert"}:
            yield f"{where}.name: a document keeps its name; to find it by its name, put it into match"


def _id_field(targets: Mapping[str, Any], name: object) -> str | None:
    target = _target(targets, name)
    if not target:
        return None
    given = target.get("id_field", FrappeTargetSettings.model_fields["id_field"].default)
    return given if isinstance(given, str) else None


def _dangling_tests(tables: Tables, tests: list[dict[str, Any]]) -> Iterator[str]:
    for index, test in enumerate(tests):
        source = test.get("source")
        if isinstance(source, str) and source not in tables.sources:
            yield _unknown(key_path("tests", index, "source"), "source", source, tables.sources)
        expected = test.get("expect")
        for name in expected if isinstance(expected, dict) else ():
            route = tables.routes.get(name)
            if name not in tables.routes:
                yield _unknown(key_path("tests", index, "expect", name), "route", name, tables.routes)
            elif isinstance(route, dict) and source not in _items(route.get("sources", [source])):
                yield f"{key_path('tests', index, 'expect', name)}: this route takes nothing from {source}"


def _unknown(path: str, what: str, name: str, known: Iterable[str]) -> str:
    return f'{path}: unknown {what} "{name}"{did_you_mean(name, known)}'


def _strings(tables: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    for name, table in tables.items():
        if isinstance(table, dict) and isinstance(table.get(key), str):
            yield name, table[key]


def _items(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
