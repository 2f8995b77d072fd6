"""A private MariaDB."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
from tests.rig.certificates import Identity
from tests.rig.daemon import Daemon, free_port, lacking

from lineside.edges.sql.dialect import Address

USER = "lineside"
PASSWORD = "s3cret'%pass"


class MariaDBServer:
    """One server; its databases are made by `make`."""

    type = "mariadb"

    def __init__(self, tls: Identity | None = None) -> None:
        program = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        if not Path(program).exists():
            lacking("MariaDB is not installed")
        self._daemon = Daemon(("mysql", "nobody"))
        home = self._daemon.directory
        self.socket = home / "s"
        self._command = [
            program,
            "--no-defaults",
            f"--datadir={home / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={home / 'pid'}",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
            "--skip-log-bin",
        ]
        self.port = 0
        """Where it listens, besides its socket, if it has a certificate to show."""
        if tls is None:
            self._command.append("--skip-networking")
        else:
            self.port = free_port()
            shown, key = map(self._daemon.take, (tls.certificate, tls.key))
            self._command += [
                "--bind-address=127.0.0.1",
                f"--port={self.port}",
                f"--ssl-cert={shown}",
                f"--ssl-key={key}",
            ]
        self._daemon.once(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={home / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=8M",
            ]
        )
        self.start()

    def start(self) -> None:
        """Start it, also again after `kill`."""
        self._daemon.start(self._command, self._answers)
        self.kill, self.freeze, self.thaw = self._daemon.kill, self._daemon.freeze, self._daemon.thaw

    def remove(self) -> None:
        """End it for good."""
        self._daemon.remove()

    @contextmanager
    def superuser(self, database: str | None = None) -> Iterator[Any]:
        """Return a cursor of the administrator's."""
        connection = pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def make(self, database: str) -> Address:
        """Make a database for our user; returns where it is."""
        with self.superuser() as cursor:
            cursor.execute(f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4")
            for host in ("localhost", "127.0.0.1"):
                cursor.execute(f"CREATE USER IF NOT EXISTS {USER}@'{host}' IDENTIFIED BY %s", (PASSWORD,))
                cursor.execute(f"GRANT ALL ON `{database}`.* TO {USER}@'{host}'")
        return Address("mariadb", database, str(self.socket), 0, USER, PASSWORD, connect_timeout=2.0)

    def _answers(self) -> bool:
        # PyMySQL leaves a socket open that is refused.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self.socket)):
                return False
        try:
            with self.superuser():
                return True
        except pymysql.Error:
            return False
