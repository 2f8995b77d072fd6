"""Named queries on real databases: typed, bound, read-only, streamed, and never longer than they may be."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.rig.cutting_proxy import CuttingProxy
from tests.rig.databases import Laboratory, dialect, laboratory, mariadb, postgresql
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from lineside.edges.sql.forms import CsvForm, JsonForm
from lineside.edges.sql.parameters import QueryParameter
from lineside.edges.sql.pool import Pool
from lineside.edges.sql.queries import WAITING, Query, endpoints
from lineside.edges.sql.rowstream import AHEAD, RowStream
from lineside.edges.sql.statements import parse
from lineside.edges.sql.trouble import DatabaseFailed
from lineside.operations.web import Answer, Call, Endpoint, Problem
from lineside.security.identity import Identity

__all__ = ["laboratory", "mariadb", "postgresql"]

VIEWER = Identity("anna", "viewer")
COUNTING_UP = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
TEXT = "abcdefghijklmnopqrstuvwxyz"


class Asked(TestCase):
    """What holds for each kind of database."""

    __test__ = False
    type: str
    timeout = 60
    laboratory: Laboratory

    @pytest.fixture(autouse=True)
    def own_database(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (servers and sockets are real)

        self.reactor: Any = reactor
        moment = {"mariadb": "DATETIME(3)", "postgresql": "TIMESTAMP", "sqlite": "TEXT"}[self.type]
        self.laboratory.do(
            f"CREATE TABLE weights (id INTEGER PRIMARY KEY, line VARCHAR(40), grams NUMERIC(10, 2), at {moment})",
            "INSERT INTO weights VALUES (1, 'press', 12.50, '2026-03-04 09:00:00.250')",
            "INSERT INTO weights VALUES (2, '=1+1', -3.00, '2026-03-05 10:00:00')",
            "INSERT INTO weights VALUES (3, NULL, NULL, NULL)",
        )

    async def pool(self, *, size: int = 2, port: int | None = None) -> Pool:
        address = self.laboratory.address
        if port is not None:
            address = replace(address, host="127.0.0.1", port=port)
        pool = Pool(self.reactor, dialect(address), "queries of plant", size=size, use="read")
        await pool.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(pool.stop()))
        return pool

    async def endpoint(self, sql: str, parameters: tuple[QueryParameter, ...] = (), **facts: Any) -> Endpoint:
        self.connections = facts.pop("pool", None) or await self.pool()
        query = Query(
            "weights",
            "plant",
            self.connections,
            parse(sql, self.laboratory.address.type),
            {each.name: each for each in parameters},
            **facts,
        )
        [_, endpoint] = endpoints([query], self.reactor)
        return endpoint

    async def ask(self, endpoint: Endpoint, accept: str = "", **query: str) -> Answer:
        answer = endpoint.answer(Call(VIEWER, {}, query, {"accept": accept} if accept else {}))
        assert not isinstance(answer, Answer)
        return await answer

    async def whole(self, answer: Answer) -> bytes:
        assert not isinstance(answer.body, bytes)
        pieces = [piece async for piece in answer.body]
        return b"".join(pieces)

    async def json(self, endpoint: Endpoint, **query: str) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(await self.whole(await self.ask(endpoint, **query)))
        return decoded

    async def problem(self, endpoint: Endpoint, **query: str) -> Problem:
        try:
            await self.ask(endpoint, **query)
        except Problem as problem:
            return problem
        raise AssertionError("it was answered")

    def slow(self, seconds: float) -> str:
        """Return a query that takes so long before its first row."""
        return f"{COUNTING_UP.format(last=2_000_000_000)} SELECT MAX(i) FROM n"

    def counting(self, last: int) -> str:
        """Return a query of so many rows, which are found one by one."""
        return f"{COUNTING_UP.format(last=last)} SELECT i, '{TEXT}' AS t FROM n"

    async def test_rows_come_as_json(self) -> None:
        """Numbers are numbers, moments are text, and nothing is null."""
        endpoint = await self.endpoint("SELECT id, line, grams, at FROM weights ORDER BY id")
        told = await self.json(endpoint)
        first, _, third = told.pop("rows")
        self.assertEqual(told, {"columns": ["id", "line", "grams", "at"], "count": 3, "truncated": None})
        self.assertEqual(
            {**first, "at": first["at"][:10]}, {"id": 1, "line": "press", "grams": 12.5, "at": "2026-03-04"}
        )
        self.assertEqual(third, {"id": 3, "line": None, "grams": None, "at": None})

    async def test_rows_come_as_csv_that_no_spreadsheet_calculates(self) -> None:
        """Text that would be a formula is shown as text; a negative number is a number."""
        endpoint = await self.endpoint("SELECT id, line, grams FROM weights ORDER BY id")
        answer = await self.ask(endpoint, "text/csv")
        self.assertTrue(answer.content_type.startswith("text/csv"))
        rows = list(csv.reader(io.StringIO((await self.whole(answer)).decode(), newline="")))
        self.assertEqual((rows[0], rows[2][1], float(rows[2][2])), (["id", "line", "grams"], "'=1+1", -3.0))
        self.assertEqual(rows[3], ["3", "", ""])
        endpoint = await self.endpoint("SELECT line FROM weights WHERE id = 2", guard_formulas=False)
        self.assertEqual(await self.whole(await self.ask(endpoint, "text/csv")), b"line\r\n=1+1\r\n")

    async def test_parameters_are_bound_with_their_types(self) -> None:
        """A moment with an offset is compared with the wall clock of the database's zone."""
        endpoint = await self.endpoint(
            "SELECT id FROM weights WHERE at >= :since AND id < :below ORDER BY id",
            (QueryParameter("since", "datetime"), QueryParameter("below", "integer", 100, required=False)),
        )
        self.assertEqual([row["id"] for row in (await self.json(endpoint, since="2026-03-05"))["rows"]], [2])
        since = "2026-03-05T15:30:00+05:30" if self.type != "postgresql" else "2026-03-05T10:00:00"
        self.assertEqual([row["id"] for row in (await self.json(endpoint, since=since))["rows"]], [2])
        self.assertEqual((await self.json(endpoint, since="2026-03-04", below="2"))["count"], 1)
        for query, name in (
            ({}, "since"),
            ({"since": "soon"}, "since"),
            ({"since": "2026-03-04", "below": "1e3"}, "below"),
        ):
            problem = await self.problem(endpoint, **query)
            self.assertEqual((problem.status, problem.more["parameter"]), (400, name))

    async def test_what_is_given_is_never_part_of_the_statement(self) -> None:
        """Whatever a parameter holds, it is compared as text."""
        endpoint = await self.endpoint(
            "SELECT COUNT(*) AS n FROM weights WHERE line = :line OR :line = 'all'",
            (QueryParameter("line", "string"),),
        )
        for attempt in (
            "' OR '1'='1",
            "\\' OR 1=1 -- ",
            "press'; DROP TABLE weights; --",
            "%s%(line)s%%",
            ":line",
            "ß漢'🙂",
            "press\\",
            "\u02bc OR 1=1",
        ):
            self.assertEqual((await self.json(endpoint, line=attempt))["rows"], [{"n": 0}], attempt)
        self.assertEqual((await self.json(endpoint, line="press"))["rows"], [{"n": 1}])
        self.assertEqual((await self.json(endpoint, line="all"))["rows"], [{"n": 3}])
        self.assertEqual(self.laboratory.rows("SELECT COUNT(*) FROM weights"), [(3,)])

    async def test_a_percent_sign_of_the_statement_is_one(self) -> None:
        """Also beside parameters, for drivers whose own placeholders begin with it."""
        endpoint = await self.endpoint(
            "SELECT id FROM weights WHERE line LIKE 'p%' AND id % 2 = :odd", (QueryParameter("odd", "integer"),)
        )
        self.assertEqual((await self.json(endpoint, odd="1"))["rows"], [{"id": 1}])

    async def test_the_database_itself_refuses_to_write(self) -> None:
        """Whatever came past the configuration's check: the connection, and each transaction, can only read."""
        pool = await self.pool()
        for sql in (
            "INSERT INTO weights VALUES (4, 'x', 1, NULL)",
            "UPDATE weights SET line = 'x'",
            "DELETE FROM weights",
            "DROP TABLE weights",
            "CREATE TABLE more (id INTEGER)",
        ):
            for begin in (True, False):

                def work(connection: Any, sql: str = sql, begin: bool = begin) -> None:
                    if begin:
                        pool.dialect.begin(connection, "read", 5)
                    pool.dialect.execute(connection, sql)

                with self.assertRaises(DatabaseFailed) as failed:
                    await pool.run(work, within=10)
                self.assertIn(failed.exception.trouble.kind, {"statement", "denied"}, sql)
        self.assertEqual(self.laboratory.rows("SELECT COUNT(*), MAX(line) FROM weights"), [(3, "press")])

    async def test_no_more_rows_than_allowed(self) -> None:
        """What is left out is told, in JSON and in CSV."""
        endpoint = await self.endpoint(self.counting(900), max_rows=150)
        told = await self.json(endpoint)
        self.assertEqual((told["count"], len(told["rows"]), told["truncated"]), (150, 150, "rows"))
        lines = (await self.whole(await self.ask(endpoint, "text/csv"))).decode().splitlines()
        self.assertEqual((len(lines), lines[-1][:27]), (152, "# truncated after 150 rows:"))
        exact = await self.endpoint(self.counting(150), max_rows=150)
        self.assertEqual((await self.json(exact))["truncated"], None)
        # The connection is good for the next one, or was replaced.
        self.assertEqual((await self.json(exact))["count"], 150)

    async def test_a_query_that_takes_too_long_is_ended(self) -> None:
        """Nothing was there in time: 504, and the connection serves the next one."""
        pool = await self.pool(size=1)
        endpoint = await self.endpoint(self.slow(30), pool=pool, timeout=0.2)
        self.assertEqual((await self.problem(endpoint)).status, 504)
        endpoint = await self.endpoint("SELECT 1 AS one", pool=pool)
        self.assertEqual((await self.json(endpoint))["rows"], [{"one": 1}])

    async def test_a_slow_reader_holds_rows_back_and_a_late_one_is_told(self) -> None:
        """A result larger than memory is produced no faster than it is read; when its time is over, it says so."""
        rendered = 0

        class Counted(JsonForm):
            def rows(self, rows: Any) -> bytes:
                nonlocal rendered
                rendered += len(rows)
                return super().rows(rows)

        pool = await self.pool()
        rows = RowStream(
            self.reactor,
            pool,
            self.counting(50_000_000),
            {},
            Counted(),
            max_rows=100_000_000,
            within=1.5,
        )
        await rows.begin()
        pieces = [await anext(rows) for _ in range(3)]
        taken = sum(piece.count(b'"i":') for piece in pieces)
        await deferLater(self.reactor, 0.3)
        ahead = rendered - taken
        self.assertLess(ahead, (AHEAD + 2) * taken / 3)
        # Nobody reads until the time is over.
        while pool.under_way:
            await deferLater(self.reactor, 0.05)
        pieces += [piece async for piece in rows]
        told = msgspec.json.decode(b"".join(pieces))
        self.assertEqual((told["truncated"], told["count"]), ("time", len(told["rows"])))
        self.assertLess(told["count"], 50_000)

    async def test_a_reader_that_leaves_ends_the_query(self) -> None:
        """Its connection is free at once, whether it left before the first row or after."""
        pool = await self.pool(size=1)
        endpoint = await self.endpoint(self.slow(30), pool=pool)
        asked = Deferred.fromCoroutine(self.ask(endpoint))
        await deferLater(self.reactor, 0.1)
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        endpoint = await self.endpoint(self.counting(50_000_000), pool=pool, max_rows=10**8)
        answer = await self.ask(endpoint)
        rows: Any = answer.body
        await anext(rows)
        await rows.aclose()
        endpoint = await self.endpoint("SELECT 1 AS one", pool=pool)
        self.assertEqual((await self.json(endpoint))["rows"], [{"one": 1}])

    async def test_too_many_at_once_are_told_to_come_again(self) -> None:
        """The others wait for a connection and are answered."""
        pool = await self.pool(size=1)
        endpoint = await self.endpoint("SELECT 1 AS one", pool=pool)
        asked = [Deferred.fromCoroutine(self.ask(endpoint)) for _ in range(WAITING + 1)]
        problem = await self.problem(endpoint)
        self.assertEqual((problem.status, problem.headers), (503, {"Retry-After": "1"}))
        for each in asked:
            self.assertIn(b'"one":1', await self.whole(await each))

    async def test_a_query_that_is_wrong_says_why(self) -> None:
        """As does one that nobody could answer as asked."""
        problem = await self.problem(await self.endpoint("SELECT nothing FROM weights"))
        self.assertEqual(problem.status, 500)
        self.assertIn("nothing", problem.detail)
        problem = await self.problem(await self.endpoint("SELECT id, id FROM weights"))
        self.assertIn('two columns are called "id"', problem.detail)
        endpoint = await self.endpoint("SELECT 1 AS one")
        with self.assertRaises(Problem) as refused:
            await self.ask(endpoint, "image/png")
        self.assertEqual(refused.exception.status, 406)


class MariaDBQueries(Asked):
    """MariaDB."""

    __test__ = True
    type = "mariadb"

    def slow(self, seconds: float) -> str:
        return f"SELECT SLEEP({seconds})"

    def counting(self, last: int) -> str:
        return f"SELECT seq AS i, '{TEXT}' AS t FROM seq_1_to_{last}"


class PostgreSQLQueries(Asked):
    """PostgreSQL."""

    __test__ = True
    type = "postgresql"

    def slow(self, seconds: float) -> str:
        return f"SELECT pg_sleep({seconds})"

    async def test_a_database_that_is_away_or_silent_is_503_or_504(self) -> None:
        """Nobody waits longer than the query may take."""
        assert self.laboratory.server is not None
        proxy = CuttingProxy(self.reactor, str(self.laboratory.server.socket))
        port = await proxy.start()
        pool = await self.pool(port=port)
        endpoint = await self.endpoint("SELECT 1 AS one", pool=pool, timeout=0.5)
        self.assertEqual((await self.json(endpoint))["count"], 1)
        proxy.silent = True
        self.assertEqual((await self.problem(endpoint)).status, 504)
        await proxy.stop()
        problem = await self.problem(endpoint)
        self.assertEqual((problem.status, problem.headers), (503, {"Retry-After": "5"}))


class SQLiteQueries(Asked):
    """SQLite."""

    __test__ = True
    type = "sqlite"


class Forms(TestCase):
    """What needs no database."""

    def test_csv_of_no_rows_has_its_names(self) -> None:
        """So that a reader knows the columns."""
        form = CsvForm(guarded=True)
        self.assertEqual(form.head(["a", "b"]) + form.tail(0, None), b"a,b\r\n")
