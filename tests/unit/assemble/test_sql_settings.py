"""What the configuration can say of databases, and what it is told where that is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble import databases
from lineside.assemble.config import load
from lineside.assemble.databases import dialect_of
from lineside.assemble.settings import Settings
from lineside.edges.sql.mariadb import MariaDB
from lineside.edges.sql.postgresql import PostgreSQL
from lineside.edges.sql.trouble import DriverMissing
from lineside.model.errors import ConfigurationError

PLANT = """
[databases.plant]
type = "postgresql"
host = "/run/postgresql"
database = "plant"
user = "lineside"
"""
TARGET = """
[targets.plant]
type = "sql"
database = "plant"
"""
SOURCE = """
[sources.orders]
type = "sql"
database = "plant"
table = "orders"
key = "id"
"""
ROUTE = """
[routes.copy]
table = "copies"
document = { id = "{{ id }}" }
"""
QUERY = """
[queries.late]
database = "plant"
sql = "SELECT * FROM orders WHERE due < :before AND line = :line"
parameters = { before = "date", line = { type = "string", optional = true } }
"""
HTTP = "[http]\n"
WHOLE = PLANT + TARGET + SOURCE + ROUTE + QUERY + HTTP
TAKEN = "this is the target's id_column; Lineside fills it with the delivery id"


class SqlSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def read(self, text: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, {})

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ConfigurationError) as wrong:
            self.read(text)
        return [problem.removeprefix(f"{self.path}: ") for problem in wrong.exception.problems]

    def test_what_is_right_is_read(self) -> None:
        """With its defaults, and without a warning."""
        settings = self.read(WHOLE)
        self.assertEqual([], settings.warnings)
        self.assertEqual((["copies"], "UTC"), (settings.tables_of("plant"), settings.zone_of("plant")))
        self.assertEqual(({}, {}), (settings.sites, settings.lines))
        late = settings.queries["late"]
        self.assertEqual(
            (10_000, 30.0, "read", True), (late.max_rows, late.timeout, late.permission, late.guard_formulas)
        )
        with_default = self.read(WHOLE.replace('"date"', '{ type = "date", default = 2026-03-04 }'))
        self.assertEqual(date(2026, 3, 4), with_default.queries["late"].parameters["before"].bound_default())

    def test_a_database_is_of_its_kind(self) -> None:
        """A server has an address, SQLite a file."""
        for old, new, said in (
            ('host = "/run/postgresql"\n', "", "databases.plant: host is missing"),
            (
                'user = "lineside"\n',
                'user = "lineside"\npath = "x.db"\n',
                "databases.plant: only SQLite has a path; remove it",
            ),
            ('"postgresql"', '"sqlite"', "databases.plant: path is missing: SQLite is a file"),
            (
                'user = "lineside"\n',
                'user = "lineside"\nca = "x.pem"\n',
                "databases.plant: ca is idle without tls = true",
            ),
            (
                '"postgresql"',
                '"mysql"',
                'databases.plant.type: unknown type "mysql"; known: mariadb, postgresql, sqlite',
            ),
        ):
            self.assertIn(said, self.problems(WHOLE.replace(old, new, 1)))
        lite = '[databases.plant]\ntype = "sqlite"\npath = "plant.db"\nuser = "x"\n'
        self.assertEqual(
            ["databases.plant: SQLite has no user; remove it"], self.problems(WHOLE.replace(PLANT, lite))
        )

    def test_what_crosses_a_network_unencrypted_is_warned_of(self) -> None:
        """Not on this machine, and not with TLS."""
        remote = WHOLE.replace("/run/postgresql", "db.example.com")
        [warning] = self.read(remote).warnings
        self.assertIn("databases.plant.tls: what is asked and answered crosses the network unencrypted", warning)
        self.assertEqual([], self.read(remote.replace("database =", "tls = true\ndatabase =", 1)).warnings)

    def test_queries_that_nobody_can_ask_are_warned_of(self) -> None:
        """They are asked over HTTP alone."""
        self.assertEqual(
            ["queries: nobody can ask them without a table [http]"], self.read(WHOLE.replace(HTTP, "")).warnings
        )

    def test_whoever_uses_a_database_names_one_that_is_there(self) -> None:
        """Queries, targets and sources."""
        text = WHOLE.replace('database = "plant"\nsql', 'database = "plan"\nsql')
        self.assertEqual(
            ['queries.late.database: unknown database "plan"; did you mean "plant"?'], self.problems(text)
        )
        self.assertEqual(
            3, len([said for said in self.problems(WHOLE.replace(PLANT, "")) if "unknown database" in said])
        )

    def test_a_query_only_reads_and_knows_its_parameters(self) -> None:
        """Each that it names has a type, and each that has one is named."""
        for old, new, said in (
            ("SELECT *", "DELETE", "queries.late.sql: a query begins with SELECT or WITH, not DELETE"),
            ("SELECT * FROM", "SELECT 'a FROM", "queries.late.sql: ' is not closed"),
            (
                ":line",
                ":lines",
                'queries.late.sql: :lines has no type; add it to parameters, such as lines = "string"',
            ),
            (":before", "now()", "queries.late.parameters.before: the statement has no :before"),
            (
                '"date"',
                '{ type = "date", default = "soon" }',
                "queries.late.parameters.before: default: expected a date such as 2026-03-04",
            ),
        ):
            self.assertIn(said, self.problems(WHOLE.replace(old, new, 1)))

    def test_a_route_to_tables_says_what_goes_into_which(self) -> None:
        """And nothing that only documents have."""
        for old, new, said in (
            ('table = "copies"\n', "", "routes.copy.table: is missing: which table gets the rows?"),
            (
                'table = "copies"',
                'doctype = "Copy"\ntable = "copies"',
                "routes.copy.doctype: a target of the type sql has tables; set table instead",
            ),
            (
                'table = "copies"',
                'action = "update"\ntable = "copies"',
                "routes.copy.action: a target of the type sql only inserts; remove it",
            ),
            (
                "{ id =",
                "{ lineside_id =",
                f"routes.copy.document.lineside_id: {TAKEN}",
            ),
        ):
            self.assertIn(said, self.problems(WHOLE.replace(old, new, 1)))
        site = '[targets.plant]\ntype = "frappe"\nurl = "http://127.0.0.1"\napi_key = "k"\napi_secret = "s"\n'
        told = self.problems(WHOLE.replace(TARGET, site))
        self.assertIn("routes.copy.table: only a target of the type sql has tables; remove it", told)
        self.assertIn("routes.copy.doctype: is missing", told)

    def test_a_poll_looks_back_in_one_way(self) -> None:
        """By numbers, or by time where rows have one."""
        for more, said in (
            ('overlap = "1m"', "sources.orders.overlap: it counts only with modified; remove it"),
            (
                'modified = "at"\noverlap_keys = 5',
                "sources.orders.overlap_keys: it counts only without modified; remove it",
            ),
            ('columns = ["id"]\ndevice = "who"', "sources.orders.device: it is not among the columns"),
        ):
            self.assertIn(said, self.problems(WHOLE.replace('key = "id"\n', f'key = "id"\n{more}\n')))

    def test_a_driver_that_is_missing_is_one_line_with_its_remedy(self) -> None:
        """As it is where only `lineside` was installed."""
        table = self.read(WHOLE).databases["plant"]
        self.patch(databases, "find_spec", lambda name: None)
        with self.assertRaises(DriverMissing) as missing:
            dialect_of(table, "plant")
        self.assertEqual(
            "databases.plant: psycopg is not installed; pip install 'lineside[postgresql]'", str(missing.exception)
        )

    def test_encrypted_connections_verify_the_server(self) -> None:
        """Certificate and name, on both servers; and nothing is encrypted by half."""
        text = WHOLE.replace("database =", "tls = true\ndatabase =", 1).replace("/run/postgresql", "db.example.com")
        address: Any = dialect_of(self.read(text).databases["plant"], "plant").address
        tls = PostgreSQL(address).arguments("read")
        self.assertEqual(("verify-full", "system"), (tls["sslmode"], tls["sslrootcert"]))
        context = MariaDB(address).arguments("read")["ssl"]
        self.assertEqual((True, "CERT_REQUIRED"), (context.check_hostname, context.verify_mode.name))
        address = dialect_of(self.read(WHOLE).databases["plant"], "plant").address
        self.assertEqual("disable", PostgreSQL(address).arguments("read")["sslmode"])
        self.assertTrue(MariaDB(address).arguments("read")["ssl_disabled"])
