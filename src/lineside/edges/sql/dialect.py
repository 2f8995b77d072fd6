"""What differs from one kind of database to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from lineside.edges.sql.columns import Table
from lineside.edges.sql.statements import Kind, Statement
from lineside.edges.sql.trouble import Trouble


class Address(Struct, frozen=True):
    """Where a database is, and as whom it is asked."""

    type: Kind
    database: str = ""
    host: str = ""
    """An address, or the absolute path of a Unix socket, of PostgreSQL the socket's directory."""
    port: int = 0
    """0 for the usual one."""
    user: str = ""
    password: str = ""
    path: Path | None = None
    """SQLite's file."""
    time_zone: str = "UTC"
    """IANA name of the zone of what is kept without one."""
    tls: bool = False
    ca: Path | None = None
    """Trusted alone; None for the CAs of the system."""
    connect_timeout: float = 5.0

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        if self.path is not None:
            return str(self.path)
        where = self.host if not self.port or self.host.startswith("/") else f"{self.host}:{self.port}"
        return f"{self.database} on {where}"


Use = Literal["read", "write"]
"""What connections are for. Those that read cannot write, whatever the statement."""


class Rows(Protocol):
    """A result that stays with the server; the DB-API's cursor."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """The columns, their names first."""
        ...

    def fetchmany(self, size: int) -> Sequence[Sequence[Any]]:
        """Return the next rows; none at the end."""
        ...


class Dialect(Protocol):
    """One kind of database. All runs on a thread of the pool, but for `cut`; `explain` runs anywhere."""

    address: Address
    module: str
    """The DB-API module."""
    keeps_offsets: bool
    """A moment is bound with its offset; without, wall clocks are meant, those of the address's time zone."""

    def arguments(self, use: Use) -> dict[str, Any]:
        """Return what the module's ``connect`` takes. Neither it nor a read on the socket blocks for ever."""
        ...

    def prepare(self, connection: Any, use: Use) -> None:
        """Make a new connection ready: each statement is its own transaction until `begin`."""
        ...

    def answers(self, connection: Any) -> bool:
        """Tell whether an idle connection still has a server behind it."""
        ...

    def cut(self, connection: Any) -> None:
        """End whatever the connection does at present, from any thread; the thread that uses it gets an error."""
        ...

    def begin(self, connection: Any, use: Use, seconds: float) -> None:
        """Begin a transaction; a statement is ended after ``seconds``, and to read the server refuses writes."""
        ...

    def sql(self, statement: Statement) -> str:
        """Return a statement as the module takes it."""
        ...

    def bound(self, value: Any) -> Any:
        """Return a value as the module binds it to its column's type."""
        ...

    def execute(self, connection: Any, sql: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """Execute one statement; returns its cursor with all rows fetched."""
        ...

    def open_rows(self, connection: Any, sql: str, values: Mapping[str, Any]) -> Rows:
        """Execute a query whose rows stay with the server until they are fetched."""
        ...

    def close_rows(self, connection: Any, rows: Rows) -> bool:
        """Let go of rows that nobody fetches; tells whether the connection can be used on."""
        ...

    def explain(self, failed: BaseException) -> Trouble:
        """Return what an error of the module means."""
        ...

    def quoted(self, name: str) -> str:
        """Return an identifier as it stands in a statement, its parts at dots quoted each."""
        ...

    def mark(self, number: int) -> str:
        """Return the placeholder of a value by its place."""
        ...

    def table(self, connection: Any, name: str) -> Table | None:
        """Describe a table; None where there is none that we may see."""
        ...

    def id_column(self, table: str, column: str) -> tuple[str, str]:
        """Return the statements that add a unique column for delivery ids, and its index alone."""
        ...
