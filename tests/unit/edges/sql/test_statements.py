"""SQL of the configuration: what is a parameter in it, and what is text."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.sql.statements import parse, why_no_query

KINDS: tuple[Any, ...] = ("mariadb", "postgresql", "sqlite")


class Parameters(SynchronousTestCase):
    """``:name`` outside of quotes and comments."""

    def test_each_driver_gets_its_own_placeholders(self) -> None:
        """With a percent sign doubled where placeholders begin with one."""
        for kind in KINDS:
            statement = parse("SELECT a % 2 FROM t WHERE b = :b AND (c >:c_1 OR b=:b)", kind)
            self.assertEqual(statement.names, ("b", "c_1"))
            self.assertEqual(
                statement.pyformat(), "SELECT a %% 2 FROM t WHERE b = %(b)s AND (c >%(c_1)s OR b=%(b)s)"
            )
            self.assertEqual(statement.named(), "SELECT a % 2 FROM t WHERE b = :b AND (c >:c_1 OR b=:b)")

    def test_text_and_comments_have_none(self) -> None:
        """Quotes as each database writes them, doubled and escaped."""
        for kind, sql in (
            ("mariadb", r"""SELECT 'a:b', 'it''s :x', 'b\' :y', "q:z", `c:d` -- :e"""),
            ("mariadb", "SELECT 1 # :a\n + 2 /* :b */"),
            ("postgresql", r"""SELECT 'a:b', E'b\' :y', 'b\', "q:z", $$ :a ' $$, $x$ $$ :b $x$ /* :c */"""),
            ("postgresql", "SELECT '1'::text, a[1:2], (b)::int, now()::date -- :e"),
            ("sqlite", "SELECT 'a:b', \"c:d\", `e:f`, [g:h] -- :i"),
        ):
            self.assertEqual(parse(sql, kind).names, (), sql)  # type: ignore[arg-type]

    def test_a_quote_that_is_not_closed_is_told(self) -> None:
        """Rather than taken for a statement with other parameters."""
        for kind in KINDS:
            with self.assertRaisesRegex(ValueError, "is not closed"):
                parse("SELECT 'abc FROM t WHERE a = :a", kind)


class ReadingOnly(SynchronousTestCase):
    """What may stand in the configuration as a query."""

    def test_queries_pass(self) -> None:
        """Also those whose text or names look like more."""
        for kind in KINDS:
            for sql in (
                "SELECT 'delete; drop' AS x FROM t;",
                "WITH a AS (SELECT 1) SELECT * FROM a",
                "/* INTO */ SELECT updated, deleted_at FROM t -- ; INSERT",
                "VALUES (1)",
            ):
                self.assertIsNone(why_no_query(sql, kind), sql)

    def test_what_writes_is_told(self) -> None:
        """With what is wrong with it."""
        for kind in KINDS:
            for sql, said in (
                ("DELETE FROM t", "not DELETE"),
                ("SELECT 1; DROP TABLE t", "more than one statement"),
                ("SELECT a INTO b FROM t", "it holds INTO"),
                ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "it holds DELETE"),
                ("SELECT * FROM t FOR UPDATE", "it holds UPDATE"),
                ("", "begins with SELECT or WITH"),
            ):
                self.assertIn(said, why_no_query(sql, kind) or "", sql)
        self.assertIn("/*!", why_no_query("SELECT 1 /*! INTO OUTFILE 'x' */", "mariadb") or "")
