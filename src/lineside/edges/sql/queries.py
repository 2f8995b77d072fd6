"""Named queries over HTTP: what the configuration names, and nothing else, is asked of a database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from lineside.edges.sql.dialect import Dialect
from lineside.edges.sql.forms import CsvForm, JsonForm
from lineside.edges.sql.parameters import QueryParameter, Wrong, bind
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.rowstream import Form, RowStream
from lineside.edges.sql.statements import Statement
from lineside.edges.sql.trouble import DatabaseFailed, Trouble
from lineside.operations.web import JSON, Answer, Call, Endpoint, Parameter, Problem, Reply
from lineside.security.identity import Permission, permits

log = Logger()

CSV = "text/csv"
PATH = "/api/v1/queries"
WAITING = 16
"""Requests that may wait for one of a database's connections; further ones are told to come again."""


class Query(Struct, frozen=True):
    """One named query."""

    name: str
    database: str
    pool: Pool
    """For reading."""
    statement: Statement
    parameters: dict[str, QueryParameter]
    description: str = ""
    max_rows: int = 10_000
    timeout: float = 30.0
    permission: Permission = "read"
    guard_formulas: bool = True
    """In CSV; see `lineside.edges.sql.cells.csv_line`."""


class ParameterView(Struct, frozen=True):
    """A parameter of a query."""

    name: str
    type: str
    required: bool
    default: Any
    description: str


class QueryView(Struct, frozen=True):
    """A query that may be asked."""

    name: str
    path: str
    database: str
    description: str
    parameters: list[ParameterView]
    max_rows: int
    timeout: float
    """Seconds."""


class QueryList(Struct, frozen=True):
    """The queries that the one who asks may ask, by name."""

    queries: list[QueryView]


def endpoints(queries: Iterable[Query], reactor: Any) -> list[Endpoint]:
    """Return the list of queries, and one endpoint for each, so that the description shows its parameters."""
    by_name = sorted(queries, key=lambda query: query.name)

    def listed(call: Call) -> Answer:
        views = [_view(query) for query in by_name if permits(call.identity, query.permission)]
        return Answer(200, msgspec.json.encode(QueryList(views), enc_hook=str))

    summary = Endpoint(
        "GET",
        PATH,
        "queries_list",
        "The queries that may be asked",
        "read",
        listed,
        replies={200: Reply("As asked.", {JSON: QueryList})},
        tag="queries",
    )
    return [summary, *(_endpoint(query, reactor) for query in by_name)]


def media_type(accept: str | None, offered: tuple[str, ...] = (JSON, CSV)) -> str | None:
    """Return which of the media types offered a client likes best, the first of equals; None for none.

    As RFC 9110, section 12.5.1, says: the most specific range of the client's decides on each type.
    """
    if accept is None or not accept.strip():
        return offered[0]
    liked: dict[str, tuple[int, float]] = {}
    for part in accept.split(","):
        wanted, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            continue
        for kind in offered:
            precision = (wanted == "*/*") + 2 * (wanted == f"{kind.partition('/')[0]}/*") + 3 * (wanted == kind)
            if precision > liked.get(kind, (0, 0.0))[0]:
                liked[kind] = (precision, quality)
    best = max(offered, key=lambda kind: liked.get(kind, (0, 0.0))[1])
    return best if liked.get(best, (0, 0.0))[1] > 0 else None


def _endpoint(query: Query, reactor: Any) -> Endpoint:
    async def answer(call: Call) -> Answer:
        return await _answer(query, call, reactor)

    rows = {
        "type": "object",
        "required": ["columns", "rows", "count", "truncated"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "rows": {"type": "array", "items": {"type": "object"}},
            "count": {"type": "integer", "minimum": 0},
            "truncated": {"enum": [None, "rows", "time"]},
        },
    }
    return Endpoint(
        "GET",
        f"{PATH}/{query.name}",
        f"queries_{query.name.replace('-', '_')}",
        query.description or f"The rows of the query {query.name}",
        query.permission,
        answer,
        parameters=tuple(
            Parameter(each.name, "query", each.schema, each.description, each.required)
            for each in query.parameters.values()
        ),
        replies={
            200: Reply("The rows, as the Accept header asks.", {JSON: rows, CSV: {"type": "string"}}),
            406: Reply("Neither JSON nor CSV would be accepted."),
            503: Reply("The database is away or busy; see Retry-After."),
            504: Reply("The query took too long before its first rows were there."),
        },
        tag="queries",
    )


async def _answer(query: Query, call: Call, reactor: Any) -> Answer:
    kind = media_type(call.header("accept"))
    if kind is None:
        raise Problem(406, f"a query is answered as {JSON} or {CSV}", available=[JSON, CSV])
    try:
        values = bind(query.parameters, call.query)
    except Wrong as wrong:
        raise Problem(400, str(wrong), parameter=wrong.name) from wrong
    if query.pool.under_way >= query.pool.size + WAITING:
        raise Problem(503, "too many queries are under way; come again", headers={"Retry-After": "1"})
    form: Form = JsonForm() if kind == JSON else CsvForm(guarded=query.guard_formulas)
    dialect = query.pool.dialect
    rows = RowStream(
        reactor,
        query.pool,
        dialect.sql(query.statement),
        {name: dialect.bound(_local(value, dialect)) for name, value in values.items()},
        form,
        max_rows=query.max_rows,
        within=query.timeout,
    )
    try:
        await rows.begin()
    except DatabaseFailed as failed:
        raise _problem(query, failed.trouble) from failed
    headers = [("Cache-Control", "no-store"), ("Vary", "Accept")]
    if kind == CSV:
        headers.append(("Content-Disposition", f'attachment; filename="{query.name}.csv"'))
        kind = f"{CSV}; charset=utf-8; header=present"
    return Answer(200, rows, kind, tuple(headers))


def _local(value: Any, dialect: Dialect) -> Any:
    if dialect.keeps_offsets or not isinstance(value, datetime) or value.tzinfo is None:
        return value
    return value.astimezone(ZoneInfo(dialect.address.time_zone)).replace(tzinfo=None)


def _problem(query: Query, trouble: Trouble) -> Problem:
    match trouble.kind:
        case "overdue":
            return Problem(504, f"the query {query.name} took more than {query.timeout:g} s; ask for less")
        case "down" | "busy":
            log.warn("query.unanswered", query=query.name, database=query.database, kind=trouble.kind)
            detail = f"the database {query.database} is away or busy"
            return Problem(503, detail, headers={"Retry-After": "5"})
        case "value":
            return Problem(400, f"the database cannot take a value: {trouble.reason}")
    log.error(
        "query.failed",
        query=query.name,
        database=query.database,
        kind=trouble.kind,
        code=trouble.code,
        remedy="try the query's sql in the database's own client, as the user of the configuration",
    )
    return Problem(500, f"the query {query.name} failed: {trouble.reason}")


def _view(query: Query) -> QueryView:
    return QueryView(
        query.name,
        f"{PATH}/{query.name}",
        query.database,
        query.description,
        [
            ParameterView(each.name, each.type, each.required, each.default, each.description)
            for each in query.parameters.values()
        ],
        query.max_rows,
        query.timeout,
    )
