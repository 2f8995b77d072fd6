"""What an operator may demand of the documents that are shown."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.operators import condition


class Conditions(SynchronousTestCase):
    """Values of a TOML file, as Frappe's lists take them."""

    def test_a_value_must_be_equal(self) -> None:
        """Text and numbers; a checkbox is 0 or 1."""
        self.assertEqual(condition("disabled", False), ("disabled", "=", 0))
        self.assertEqual(condition("item_group", "Raw"), ("item_group", "=", "Raw"))

    def test_an_operator_stands_before_its_value(self) -> None:
        """Each with the values that it takes."""
        self.assertEqual(condition("qty", [">=", 2.5]), ("qty", ">=", 2.5))
        self.assertEqual(condition("state", ["in", ["A", "B"]]), ("state", "in", ["A", "B"]))
        self.assertEqual(condition("qty", ["between", [1, 2]]), ("qty", "between", [1, 2]))
        self.assertEqual(condition("route", ["is", "set"]), ("route", "is", "set"))

    def test_what_frappe_would_misread_is_refused(self) -> None:
        """With a word on what is expected."""
        for given, told in (
            (["sounds like", "A"], "unknown operator 'sounds like'"),
            (["in", "A"], "`in` takes an array of values"),
            (["in", []], "`in` takes an array of values"),
            (["between", [1]], "`between` takes an array of two values"),
            (["is", "empty"], '`is` takes "set" or "not set"'),
            (["=", ["A"]], "expected text or a number"),
            ({"a": 1}, "expected text or a number"),
        ):
            with self.assertRaises(ValueError) as wrong:
                condition("state", given)
            self.assertIn(told, str(wrong.exception), given)
