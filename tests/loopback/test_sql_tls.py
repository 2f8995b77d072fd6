"""Encrypted connections to real servers: only to the one that the certificate names, signed by whom we trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.rig.certificates import Authority
from tests.rig.databases import dialect
from tests.rig.mariadb import MariaDBServer
from tests.rig.postgresql import PostgreSQLServer
from twisted.trial.unittest import TestCase

from lineside.edges.sql.dialect import Address
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.trouble import DatabaseFailed


class Encrypted(TestCase):
    """One server with a certificate for localhost."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        self.authority = Authority(tmp_path)

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets are real)

        self.reactor: Any = reactor

    async def asked(self, address: Address) -> str:
        """Return what the server says of the connection's cipher, or why there is none."""
        pool = Pool(self.reactor, dialect(address), "tls", size=1, use="read")
        await pool.start()
        sql = "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        if address.type == "mariadb":
            sql = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'SSL_CIPHER'"
        try:
            return str(await pool.run(lambda c: pool.dialect.execute(c, sql).fetchone()[0], within=10))
        except DatabaseFailed as failed:
            return f"{failed.trouble.kind}: {failed}"
        finally:
            await pool.stop()

    async def speaks_to_the_right_one_alone(self, server: MariaDBServer | PostgreSQLServer) -> None:
        """Encrypted to the server that it is; neither to another name nor with a certificate of somebody else's."""
        self.addCleanup(server.remove)
        address = replace(
            server.make("plant"), host="localhost", port=server.port, tls=True, ca=self.authority.path
        )
        cipher = await self.asked(address)
        self.assertRegex(cipher, "^(TLS_)?(AES|CHACHA|ECDHE)")
        wrong_name = await self.asked(replace(address, host="127.0.0.1"))
        self.assertRegex(wrong_name, "^down: .*(does not match|not valid for|mismatch)")
        other = Authority(self.directory, "Other CA")
        wrong_signer = await self.asked(replace(address, ca=other.path))
        self.assertRegex(wrong_signer, "^down: .*certificate verify failed")

    async def test_mariadb(self) -> None:
        """Through PyMySQL."""
        await self.speaks_to_the_right_one_alone(MariaDBServer(self.authority.sign("localhost")))

    async def test_postgresql(self) -> None:
        """Through psycopg."""
        await self.speaks_to_the_right_one_alone(PostgreSQLServer(self.authority.sign("localhost")))
