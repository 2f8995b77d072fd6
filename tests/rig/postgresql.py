"""A private PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.rig.certificates import Identity
from tests.rig.daemon import Daemon, free_port, lacking

from lineside.edges.sql.dialect import Address

USER = "lineside"


def programs() -> Path | None:
    """Return the directory of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return None if on_path is None else Path(on_path).resolve().parent


class PostgreSQLServer:
    """One server; its databases are made by `make`."""

    type = "postgresql"

    def __init__(self, tls: Identity | None = None) -> None:
        directory = programs()
        if directory is None:
            lacking("PostgreSQL is not installed")
            raise AssertionError
        self._daemon = Daemon(("postgres", "nobody"))
        home = self._daemon.directory
        self.socket_directory = home
        self.socket = home / ".s.PGSQL.5432"
        data = str(home / "data")
        self._daemon.once([str(directory / "initdb"), "-D", data, "-U", "root", "-A", "trust", "-N", "-E", "UTF8"])
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(home),
            "fsync": "off",
            "shared_buffers": "8MB",
            "max_connections": "40",
            "log_min_messages": "fatal",
        }
        self.port = 0
        """Where it listens, besides its socket, if it has a certificate to show."""
        if tls is not None:
            self.port = free_port()
            shown, key = map(self._daemon.take, (tls.certificate, tls.key))
            settings |= {"listen_addresses": "127.0.0.1", "port": str(self.port)}
            settings |= {"ssl": "on", "ssl_cert_file": str(shown), "ssl_key_file": str(key)}
        self._command = [str(directory / "postgres"), "-D", data]
        self._command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.start()

    def start(self) -> None:
        """Start it, also again after `kill`."""
        (self._daemon.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        self._daemon.start(self._command, self._answers)
        self.kill, self.freeze, self.thaw = self._daemon.kill, self._daemon.freeze, self._daemon.thaw

    def remove(self) -> None:
        """End it for good."""
        self._daemon.remove()

    @contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[Any]:
        """Return a cursor of the administrator's."""
        with psycopg.connect(
            host=str(self.socket_directory), port=self.port or 5432, user="root", dbname=database, autocommit=True
        ) as connection:
            yield connection.cursor()

    def make(self, database: str) -> Address:
        """Make a database for our user; returns where it is."""
        with self.superuser() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE ROLE {USER} LOGIN")
            cursor.execute(f'CREATE DATABASE "{database}" OWNER {USER}')
        return Address("postgresql", database, str(self.socket_directory), 0, USER, connect_timeout=2.0)

    def _answers(self) -> bool:
        try:
            with self.superuser():
                return True
        except psycopg.Error:
            return False
