"""The three kinds of databases for tests that hold for each of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.rig.mariadb import MariaDBServer
from tests.rig.postgresql import PostgreSQLServer

from lineside.edges.sql.dialect import Address, Dialect
from lineside.edges.sql.mariadb import MariaDB
from lineside.edges.sql.postgresql import PostgreSQL
from lineside.edges.sql.sqlite import SQLite

Server = MariaDBServer | PostgreSQLServer


class Laboratory:
    """One empty database."""

    def __init__(self, address: Address, server: Server | None = None) -> None:
        self.address = address
        self.server = server

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database, without a proxy between."""
        return dialect(self.address)

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """Return an administrator's cursor; each statement is committed."""
        if self.server is not None:
            with self.server.superuser(self.address.database) as cursor:
                yield cursor
            return
        assert self.address.path is not None
        connection = sqlite3.connect(self.address.path, isolation_level=None)
        try:
            yield connection.cursor()
        finally:
            connection.close()

    def do(self, *statements: str) -> None:
        """Execute statements as our own user's objects."""
        with self.cursor() as cursor:
            if isinstance(self.server, PostgreSQLServer):
                cursor.execute("SET ROLE lineside")
            for statement in statements:
                cursor.execute(statement)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with self.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]


def dialect(address: Address) -> Dialect:
    """Return the dialect of an address."""
    match address.type:
        case "mariadb":
            return MariaDB(address)
        case "postgresql":
            return PostgreSQL(address)
        case "sqlite":
            return SQLite(address)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """One server for all tests of a process."""
    server = MariaDBServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """One server for all tests of a process."""
    server = PostgreSQLServer()
    yield server
    server.remove()


@pytest.fixture
def laboratory(request: pytest.FixtureRequest, tmp_path: Path) -> Laboratory:
    """Return an empty database of the kind that ``type`` of the test's class names."""
    kind = request.cls.type
    if kind == "sqlite":
        path = tmp_path / "plant.db"
        sqlite3.connect(path).close()
        return Laboratory(Address("sqlite", path=path))
    server: Server = request.getfixturevalue(kind)
    return Laboratory(server.make(f"t_{uuid4().hex[:12]}"), server)
