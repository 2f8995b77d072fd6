"""Databases, named queries, and the targets and sources that are tables: what `lineside.toml` can say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lineside.assemble.plant import WorkingHours
from lineside.assemble.table import Table
from lineside.assemble.values import Duration, RelativePath, Secret, SecretText, Shape, TimeZone, in_tuple
from lineside.edges.sql.parameters import Type, read
from lineside.edges.sql.statements import parse, why_no_query
from lineside.model.wording import did_you_mean, key_path
from lineside.security.identity import Permission

_NAME = r"^[A-Za-z_][A-Za-z0-9_$]{0,63}$"
ColumnName = Annotated[str, Field(min_length=1, max_length=64), Shape("column name")]
TableName = Annotated[str, Field(min_length=1, max_length=130), Shape("table name, perhaps `schema.table`")]


class DatabaseSettings(Table):
    """``[databases.NAME]``: a database that queries, targets and sources use."""

    type: Literal["mariadb", "postgresql", "sqlite"] = Field(
        description="Its kind. MariaDB needs `lineside[mariadb]` installed, PostgreSQL `lineside[postgresql]`."
    )
    host: Annotated[str, Field(min_length=1), Shape("host name, address or absolute path")] | None = Field(
        default=None,
        description=(
            "Where the server is; or its Unix socket: of MariaDB the socket's path, of PostgreSQL its directory. "
            "Default: none, for SQLite; the others need it."
        ),
    )
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None, description="Default: 3306 of MariaDB, 5432 of PostgreSQL."
    )
    database: Annotated[str, Field(min_length=1), Shape("text")] | None = Field(
        default=None, description="The database's name. Default: none, for SQLite; the others need it."
    )
    user: Annotated[str, Field(min_length=1), Shape("text")] | None = Field(
        default=None, description="As whom it is asked. Default: none, for SQLite; the others need it."
    )
    password: SecretText | None = Field(
        default=None, description="That user's password. Default: none, as over a Unix socket."
    )
    path: RelativePath | None = Field(
        default=None, description="SQLite's file, which must be there. Default: none, for servers."
    )
    tls: bool = Field(
        default=False,
        description="Whether the connection is encrypted, and the server's certificate and name are verified.",
    )
    ca: RelativePath | None = Field(
        default=None,
        description=(
            "A PEM file with the CA that signed the server's certificate; it alone is trusted then. Default: the "
            "CAs that the operating system trusts."
        ),
    )
    connect_timeout: Duration = Field(default=5.0, gt=0, description="How long connecting may take.")
    time_zone: TimeZone = Field(
        default="UTC",
        description=(
            "The zone of the moments that the database keeps without one; `site_time` writes in it. Of Frappe's "
            "own database it is the site's."
        ),
    )
    query_connections: int = Field(
        default=4, ge=1, le=32, description="Named queries under way at a time; sixteen more may wait."
    )

    @model_validator(mode="after")
    def _of_its_kind(self) -> DatabaseSettings:
        if self.type == "sqlite":
            if self.path is None:
                raise ValueError("path is missing: SQLite is a file")
            extra = next((key for key in _SERVERS if getattr(self, key)), None)
            if extra is not None:
                raise ValueError(f"SQLite has no {extra}; remove it")
            return self
        missing = next((key for key in ("host", "database", "user") if getattr(self, key) is None), None)
        if missing is not None:
            raise ValueError(f"{missing} is missing")
        if self.path is not None:
            raise ValueError("only SQLite has a path; remove it")
        if self.ca is not None and not self.tls:
            raise ValueError("ca is idle without tls = true")
        return self


_SERVERS = ("host", "port", "database", "user", "password", "tls", "ca")


def _parameter(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class ParameterSettings(Table):
    """``parameters`` of a query: one parameter."""

    type: Type = Field(description="What its text is read as, and bound as.")
    default: Annotated[Any, Shape("value of the type")] = Field(
        default=None, description="Bound where a request does not give it. Default: none; a request must give it."
    )
    optional: bool = Field(
        default=False, description="Whether it may be left out though it has no default: NULL is bound then."
    )
    description: Annotated[str, Shape("text")] = Field(default="", description="For the API's description.")

    @model_validator(mode="after")
    def _typed_default(self) -> ParameterSettings:
        if self.default is not None:
            self.bound_default()
        return self

    def bound_default(self) -> Any:
        """Return the default as it is bound."""
        match self.default:
            case None:
                return None
            case bool():
                text = str(self.default).lower()
            case datetime() | date():
                text = self.default.isoformat()
            case str() | int() | float():
                text = str(self.default)
            case _:
                raise ValueError(f"the default is no {self.type}")
        try:
            return read(self.type, text)
        except ValueError as wrong:
            raise ValueError(f"default: {wrong}") from wrong


class QuerySettings(Table):
    """``[queries.NAME]``: a query that is answered at ``/api/v1/queries/NAME``."""

    database: str = Field(description="Which of the databases is asked.")
    sql: Annotated[str, Field(min_length=1), Shape("text")] = Field(
        description=(
            "One statement that reads, with its parameters as `:name`. What a request gives is bound, and never "
            "becomes part of the statement."
        )
    )
    parameters: Annotated[
        dict[Annotated[str, Field(pattern=_NAME)], Annotated[ParameterSettings, BeforeValidator(_parameter)]],
        Shape("table, by name: a type, or a table"),
    ] = Field(
        default={},
        description=(
            'The type of each parameter, as in `{ since = "datetime", n = { type = "integer", default = 10 } }`. '
            "See below. Default: none."
        ),
    )
    description: Annotated[str, Shape("text")] = Field(
        default="", description="What it tells, for the API's description."
    )
    max_rows: int = Field(
        default=10_000, ge=1, le=100_000_000, description="After so many rows the answer ends, marked as truncated."
    )
    timeout: Annotated[Duration, Field(gt=0, le=600)] = Field(
        default=30.0,
        description=(
            "How long the answer may take, 10 minutes at most, until the last row is read. Without a row by then "
            "it is 504; otherwise it ends, marked as truncated."
        ),
    )
    permission: Permission = Field(default="read", description="What a caller must be allowed.")
    guard_formulas: bool = Field(
        default=True,
        description=(
            "Whether in CSV text that a spreadsheet would take for a formula, since it begins with `=`, `+`, `-` "
            "or `@`, gets an apostrophe in front. JSON never does."
        ),
    )


class SqlTargetSettings(Table):
    """``[targets.NAME]`` with ``type = "sql"``: tables that take rows."""

    type: Literal["sql"] = Field(description="The kind of target.")
    database: str = Field(description="In which of the databases the tables are.")
    id_column: ColumnName = Field(
        default="lineside_id",
        description=(
            "The column of each table that holds the delivery id. Its unique index makes delivery exactly-once; "
            "without it nothing is delivered, and the log has the statement that adds it."
        ),
    )
    concurrency: int = Field(default=4, ge=1, le=32, description="Transactions under way at a time.")
    timeout: Annotated[Duration, Field(gt=0, le=600)] = Field(
        default=30.0, description="How long a transaction may take."
    )


class SqlSourceSettings(Table):
    """``[sources.NAME]`` with ``type = "sql"``: a table whose new rows are events."""

    type: Literal["sql"] = Field(description="The kind of source.")
    database: str = Field(description="In which of the databases the table is.")
    table: TableName = Field(description="The table, or a view.")
    key: ColumnName = Field(
        description=(
            "The column that names a row. Without `modified` it is a whole number that increases. With `modified` "
            "it may be anything unique."
        )
    )
    modified: ColumnName | None = Field(
        default=None,
        description=(
            "The column with the moment of a row's last change: a changed row is an event again. Default: none; "
            "a row is an event once."
        ),
    )
    columns: Annotated[tuple[ColumnName, ...], BeforeValidator(in_tuple), Shape("array of column names")] = Field(
        default=(), description="Which columns an event has. Default: all."
    )
    device: ColumnName | None = Field(
        default=None, description="The column that names the device. Default: none; the events have no device."
    )
    every: Annotated[Duration, Field(gt=0)] = Field(default=5.0, description="How often it is looked for new rows.")
    batch: int = Field(default=500, ge=1, le=10_000, description="Rows that are read, and stored, at a time.")
    overlap: Annotated[Duration, Field(gt=0)] = Field(
        default=300.0,
        description=(
            "With `modified`: how far each look goes back, for rows whose transaction was committed late. As long "
            "as the longest transaction that writes them, and a bit."
        ),
    )
    overlap_keys: int = Field(
        default=1_000,
        ge=0,
        le=1_000_000,
        description="Without `modified`: how many numbers each look goes back, for the same reason.",
    )
    begin: Literal["all", "new"] = Field(
        default="all",
        description="Where a source begins that was never there before: with all rows, or with those to come.",
    )
    timeout: Annotated[Duration, Field(gt=0, le=600)] = Field(default=30.0, description="How long a look may take.")
    silence: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="After how long without a new row there is an alarm, `source.silent`. Default: never.",
    )
    silence_of: Literal["source", "device"] = Field(
        default="source",
        description="Whether the source is watched as a whole, or each of its devices as well, by its name.",
    )
    hours: WorkingHours | None = Field(
        default=None, description="When silence counts, in the time zone of `[plant]`. Default: always."
    )


def check_databases(
    raw: Mapping[str, Any], targets: Mapping[str, Any], sources: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong between databases and what uses them, with key paths; the tables are as in the file."""
    databases = _tables(raw.get("databases"))
    queries = _tables(raw.get("queries"))
    users = [("queries", name, table) for name, table in queries.items()]
    users += [("targets", name, table) for name, table in targets.items() if _is_sql(table)]
    users += [("sources", name, table) for name, table in sources.items() if _is_sql(table)]
    for kind, name, table in users:
        database = table.get("database") if isinstance(table, dict) else None
        if isinstance(database, str) and database not in databases:
            where = key_path(kind, name, "database")
            have = did_you_mean(database, databases) if databases else "; add a table [databases.NAME]"
            yield f'{where}: unknown database "{database}"{have}'
    for name, query in queries.items():
        yield from _check_query(name, query, databases)
    for name, source in sources.items():
        if _is_sql(source):
            for key, other in (("overlap", True), ("overlap_keys", False)):
                if key in source and ("modified" in source) is not other:
                    needed = "only with modified" if other else "only without modified"
                    yield f"{key_path('sources', name, key)}: it counts {needed}; remove it"
            columns = source.get("columns")
            if isinstance(columns, list) and "device" in source and source["device"] not in columns:
                yield f"{key_path('sources', name, 'device')}: it is not among the columns"


def warn_of_databases(databases: Mapping[str, DatabaseSettings]) -> Iterator[str]:
    """Yield what works but had better be otherwise."""
    for name, table in databases.items():
        remote = table.host is not None and table.host not in _LOCAL and not table.host.startswith(("/", "127."))
        if remote and not table.tls and table.password != Secret(""):
            where = key_path("databases", name, "tls")
            yield f"{where}: what is asked and answered crosses the network unencrypted; set tls = true"


_LOCAL = frozenset({"localhost", "::1"})


def _check_query(name: str, query: object, databases: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(query, dict) or not isinstance(query.get("sql"), str):
        return
    database = databases.get(str(query.get("database")))
    kind = database.get("type") if isinstance(database, dict) else None
    if kind not in {"mariadb", "postgresql", "sqlite"}:
        return
    where = key_path("queries", name, "sql")
    try:
        statement = parse(query["sql"], kind)
    except ValueError as wrong:
        yield f"{where}: {wrong}"
        return
    why = why_no_query(query["sql"], kind)
    if why is not None:
        yield f"{where}: {why}"
    declared = _tables(query.get("parameters"))
    for parameter in statement.names:
        if parameter not in declared:
            yield f'{where}: :{parameter} has no type; add it to parameters, such as {parameter} = "string"'
    for parameter in declared:
        if parameter not in statement.names:
            yield f"{key_path('queries', name, 'parameters', parameter)}: the statement has no :{parameter}"


def _is_sql(table: object) -> bool:
    return isinstance(table, dict) and table.get("type") == "sql"


def _tables(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
