"""Filters in every documented form."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import FrappeError
from lineside.standin.filters import Condition, parse_filters, where

ORDER = DocType("Order", fields=(Field("state"), Field("qty", "Int"), Field("at", "Datetime"), Field("a", "Table")))


class Forms(SynchronousTestCase):
    def test_every_form_says_the_same(self) -> None:
        """JSON text, object, list of three, list of four: one condition."""
        expected = [Condition("state", "=", "New")]
        for given in (
            '{"state": "New"}',
            {"state": "New"},
            {"state": ["=", "New"]},
            [["state", "=", "New"]],
            '[["Order", "state", "=", "New"]]',
            [{"state": "New"}],
        ):
            self.assertEqual(parse_filters(given, "Order"), expected)

    def test_a_list_as_value_means_one_of(self) -> None:
        """Unless it begins with an operator and has two members."""
        self.assertEqual(parse_filters({"state": ["A", "B"]}, "Order"), [Condition("state", "in", ["A", "B"])])
        self.assertEqual(parse_filters({"state": ["in", ["A"]]}, "Order"), [Condition("state", "in", ["A"])])

    def test_nothing_given_is_no_condition(self) -> None:
        """Empty text, object and list let everything through."""
        empty: tuple[object, ...] = (None, "", "{}", "[]", {}, [])
        for given in empty:
            self.assertEqual(parse_filters(given, "Order"), [])

    def test_what_is_malformed_is_refused(self) -> None:
        """An unknown operator, too few members, another DocType; JSON that is none is a 500."""
        for given in ([["state", "~", 1]], [["state", "="]], ["state", "=", "New"], [["Item", "state", "=", 1]], 7):
            self.assertEqual(
                self.assertRaises(FrappeError, parse_filters, given, "Order").exc_type, "ValidationError"
            )
        self.assertEqual(self.assertRaises(FrappeError, parse_filters, "{x", "Order").exc_type, "JSONDecodeError")


class Clauses(SynchronousTestCase):
    def test_conditions_are_joined_and_choices_bracketed(self) -> None:
        """All filters hold, and at least one of or_filters."""
        clause = where(ORDER, [Condition("qty", ">", 1)], [Condition("qty", "=", 5), Condition("qty", "=", 7)])
        self.assertEqual(clause.sql, ' WHERE "qty" > ? AND ("qty" = ? OR "qty" = ?)')
        self.assertEqual(clause.values, (1, 5, 7))

    def test_a_statement_is_the_same_for_any_number_of_values(self) -> None:
        """Two hundred ids are one bound value."""
        ids = [f"{n:032x}" for n in range(200)]
        many = where(ORDER, [Condition("state", "in", ids)])
        self.assertEqual(many.sql, where(ORDER, [Condition("state", "in", ["x"])]).sql)
        self.assertEqual(len(many.values), 1)

    def test_an_unknown_field_is_mariadbs_error(self) -> None:
        """Also a child table, which has no column."""
        for name in ("nope", "a"):
            error = self.assertRaises(FrappeError, where, ORDER, [Condition(name, "=", 1)])
            self.assertEqual((error.exc_type, error.status), ("OperationalError", 500))
            self.assertIn("(1054, ", error.exception)

    def test_values_that_do_not_fit_their_operator_are_refused(self) -> None:
        """`is` knows two words, `between` two values."""
        for condition in (Condition("state", "is", "empty"), Condition("qty", "between", [1])):
            self.assertRaises(FrappeError, where, ORDER, [condition])

    def test_the_last_day_of_a_range_counts_whole(self) -> None:
        """A range of days holds what happened on the evening of the last."""
        clause = where(ORDER, [Condition("at", "between", ["2026-01-01", "2026-01-31"])])
        self.assertEqual(clause.values, ("2026-01-01 00:00:00.000000", "2026-01-31 23:59:59.999999"))
