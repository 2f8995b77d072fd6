"""A gateway over a database: lines become rows, rows become events, and queries are answered over HTTP."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import treq
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.databasesoundings import sound_database, sound_tables
from lineside.assemble.lifecycle import System
from lineside.cli.test import command as judge_examples
from lineside.cli.try_ import command as try_lines

CONFIGURATION = """
[databases.plant]
type = "sqlite"
path = "plant.db"
time_zone = "Asia/Kolkata"

[targets.plant]
type = "sql"
database = "plant"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[sources.weights]
type = "sql"
database = "plant"
table = "weights"
key = "id"
columns = ["id", "code", "at"]
device = "code"
every = "20ms"

[routes.weigh]
sources = ["gate"]
table = "weights"
document = { code = "{{ code }}", grams = "{{ grams }}", at = "{{ at | site_time }}" }

[routes.report]
sources = ["weights"]
table = "reports"
document = { weight = "{{ id }}", code = "{{ code }}" }

[queries.heavy]
database = "plant"
sql = "SELECT code, grams FROM weights WHERE grams >= :least ORDER BY grams"
parameters = { least = { type = "number", default = 10, description = "in grams" } }
description = "What weighs much"

[http]
listen = "tcp:0:interface=127.0.0.1"

[[tests]]
source = "weights"
input = { id = 1, code = "A-1" }
expect.report = { weight = 1, code = "A-1" }
"""
TABLES = """
CREATE TABLE weights (
    id INTEGER PRIMARY KEY, code TEXT, grams NUMERIC, at DATETIME, lineside_id VARCHAR(32) UNIQUE
);
CREATE TABLE reports (weight INTEGER, code TEXT, lineside_id VARCHAR(32) UNIQUE);
"""
LOOK_AGAIN = 0.01


class OverADatabase(TestCase):
    """The whole gateway in this process."""

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and files are real)

        self.reactor: Any = reactor
        # A control socket's path must be short.
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.directory = Path(held.name)
        self.path = self.directory / "lineside.toml"
        self.path.write_text(CONFIGURATION)
        self.plant = sqlite3.connect(self.directory / "plant.db", isolation_level=None, timeout=30)
        self.addCleanup(self.plant.close)

    async def begin(self) -> Gateway:
        gateway = Gateway(self.reactor, load(self.path, {}))
        system = System(gateway.stages)
        self.addCleanup(lambda: Deferred.fromCoroutine(system.stop()))
        await system.start()
        return gateway

    async def rows(self, sql: str, count: int) -> list[Any]:
        while len(rows := self.plant.execute(sql).fetchall()) < count:
            await deferLater(self.reactor, LOOK_AGAIN)
        return rows

    async def get(self, gateway: Gateway, path: str, accept: str = "*/*") -> tuple[int, bytes]:
        assert gateway.http is not None
        url = f"http://{gateway.http.part.address}{path}".encode()
        answer = await Agent(self.reactor).request(b"GET", url, Headers({"Accept": [accept]}))
        return answer.code, await treq.content(answer)

    async def test_lines_become_rows_and_rows_become_events(self) -> None:
        """From a device's line to the row, from the row, as an event, to another row: each once, and asked for."""
        self.plant.executescript(TABLES)
        gateway = await self.begin()
        device = await connectProtocol(
            clientFromString(self.reactor, f"tcp:{gateway.sources[0].address}"), Protocol()
        )
        device.transport.write(
            b'{"code": "00123", "grams": 12.5, "at": "2026-03-04T09:00:00Z"}\n'
            b'{"code": "10E5", "grams": 3, "at": "2026-03-04T09:00:01Z"}\n'
        )
        weights = await self.rows("SELECT code, grams, at FROM weights ORDER BY code", 2)
        device.transport.abortConnection()
        # Wall clocks of the database's zone.
        self.assertEqual(weights, [("00123", 12.5, "2026-03-04 14:30:00"), ("10E5", 3, "2026-03-04 14:30:01")])
        reports = await self.rows("SELECT code FROM reports ORDER BY code", 2)
        self.assertEqual(reports, [("00123",), ("10E5",)])
        code, body = await self.get(gateway, "/api/v1/queries/heavy")
        self.assertEqual((code, msgspec.json.decode(body)["rows"]), (200, [{"code": "00123", "grams": 12.5}]))
        _, body = await self.get(gateway, "/api/v1/queries/heavy?least=1", "text/csv")
        self.assertEqual(body, b"code,grams\r\n10E5,3\r\n00123,12.5\r\n")
        code, body = await self.get(gateway, "/api/v1/queries/heavy?least=much")
        self.assertEqual((code, msgspec.json.decode(body)["parameter"]), (400, "least"))
        self.assertEqual((await self.get(gateway, "/api/v1/queries/heavy?most=1"))[0], 400)
        _, body = await self.get(gateway, "/api/v1/queries")
        [listed] = msgspec.json.decode(body)["queries"]
        self.assertEqual((listed["name"], listed["path"]), ("heavy", "/api/v1/queries/heavy"))
        _, body = await self.get(gateway, "/openapi.json")
        described = msgspec.json.decode(body)["paths"]["/api/v1/queries/heavy"]["get"]
        [least] = [each for each in described["parameters"] if each["name"] == "least"]
        self.assertEqual((least["schema"], least["description"]), ({"type": "number", "default": 10.0}, "in grams"))

    async def test_a_table_that_is_not_prepared_waits_with_the_remedy(self) -> None:
        """The status has the statement; once it was carried out, nothing is missing."""
        self.plant.executescript(TABLES.replace("lineside_id VARCHAR(32) UNIQUE", "lineside_id VARCHAR(32)"))
        settings = load(self.path, {})
        sounding = await sound_tables(self.reactor, settings, "plant")
        [weigh, report] = sounding.problems
        self.assertIn("no unique index", weigh)
        for problem in (weigh, report):
            self.plant.execute(problem.partition("; ")[2])
        sounding = await sound_tables(self.reactor, settings, "plant")
        self.assertEqual((len(sounding.found), sounding.problems), (2, []))
        sounding = await sound_database(self.reactor, settings, "plant")
        self.assertEqual((len(sounding.found), sounding.problems), (2, []))
        self.plant.execute("DROP TABLE reports")
        self.plant.execute("DROP TABLE weights")
        sounding = await sound_database(self.reactor, settings, "plant")
        self.assertIn("sources.weights: no such table", sounding.problems[0])

    def test_rows_are_rehearsed_as_lines_are(self) -> None:
        """`lineside test` and `lineside try` take a row as JSON, and show the row that it becomes."""
        done = CliRunner().invoke(judge_examples, ["-c", str(self.path)])
        self.assertEqual((done.exit_code, done.stdout.splitlines()[-1]), (0, "1 of 1 documents as expected"))
        row = '{"id": 7, "code": "B"}\n'
        done = CliRunner().invoke(try_lines, ["weights", "-c", str(self.path), "--json"], input=row)
        told = msgspec.json.decode(done.stdout)["routes"]["report"]
        self.assertEqual((told["document"], told["time_zone"]), ({"weight": 7, "code": "B"}, "Asia/Kolkata"))
