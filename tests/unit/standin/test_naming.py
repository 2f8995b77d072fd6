"""Names of new documents."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.doctypes import DocType, Field
from lineside.standin.errors import FrappeError
from lineside.standin.naming import hash_name, new_name

NOW = datetime(2026, 3, 9, 8, 7, 6)  # noqa: DTZ001 (the site's own naive time)


class Naming(SynchronousTestCase):
    def setUp(self) -> None:
        self.series: Counter[str] = Counter()

    def count(self, prefix: str) -> int:
        self.series[prefix] += 1
        return self.series[prefix]

    def name(self, autoname: str, **values: object) -> str:
        kind = DocType("Order", autoname=autoname, fields=(Field("order_id"), Field("naming_series")))
        return new_name(kind, values, self.count, NOW, lambda: "random")

    def refused(self, autoname: str, **values: object) -> str:
        error: FrappeError = self.assertRaises(FrappeError, self.name, autoname, **values)
        return error.exc_type

    def test_a_name_that_was_given_counts_only_for_prompt(self) -> None:
        """A sender cannot choose the name of a document that is named at random."""
        self.assertEqual(self.name("hash", name="mine"), "random")
        self.assertEqual(self.name("prompt", name=" mine "), "mine")
        self.assertEqual(self.refused("prompt"), "ValidationError")

    def test_a_field_gives_the_name_without_the_spaces_around_it(self) -> None:
        """As measured: " SO-1 " is the document SO-1, and a number is its digits."""
        self.assertEqual(self.name("field:order_id", order_id=" SO-1 "), "SO-1")
        self.assertEqual(self.name("field:order_id", order_id=4711), "4711")
        self.assertEqual(self.refused("field:order_id", order_id=" "), "ValidationError")

    def test_a_name_with_an_angle_bracket_is_a_name_error(self) -> None:
        """A 409 that is no duplicate."""
        error = self.assertRaises(FrappeError, self.name, "field:order_id", order_id="A<B")
        self.assertEqual((error.exc_type, error.status), ("NameError", 409))

    def test_a_series_counts_by_the_part_before_its_digits(self) -> None:
        """Each prefix has a counter of its own; the digits are padded, never cut."""
        self.assertEqual(self.name("CK-.MM.-.YYYY.-.######"), "CK-03-2026-000001")
        self.assertEqual(self.name("CK-.MM.-.YYYY.-.######"), "CK-03-2026-000002")
        self.assertEqual(self.name("naming_series:", naming_series="HR-EMP-"), "HR-EMP-00001")
        self.series["P-"] = 99
        self.assertEqual(self.name("P-.##"), "P-100")
        self.assertEqual(self.refused("naming_series:"), "ValidationError")

    def test_a_format_puts_fields_together(self) -> None:
        """A custom field's name is made of its DocType and its own."""
        self.assertEqual(self.name("format:{order_id}-{YY}", order_id="X"), "X-26")

    def test_random_names_differ(self) -> None:
        """Ten letters of thirty-two: a thousand draws do not meet."""
        random = Random(1)
        self.assertEqual(len({hash_name(random) for _ in range(1000)}), 1000)
