"""A body's items are found as they come, whatever its pieces are."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.wire.jsonitems import Item, Items, JsonItems, LineItems, Malformed

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", "[],{}", 'a"b\\']),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside, max_size=3),
    max_leaves=8,
)
CUTS = st.lists(st.integers(0, 400), max_size=8)
STRANGE = st.lists(
    st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"\n", b"1", b'{"a":1}', b'"\\""', b"\xff"]),
    max_size=20,
).map(b"".join)


def pieces(body: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a body at these places, as far as it has them."""
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    return [body[start:end] for start, end in pairwise(places)]


def found(items: Items, body: list[bytes]) -> list[Item] | str:
    """Return the items of a body, or why they cannot be told."""
    try:
        return [item for piece in body for item in items.feed(piece)] + items.end()
    except Malformed as wrong:
        return str(wrong)


def array(body: bytes, most: int = 1000) -> Any:
    return found(JsonItems(most), [body])


class Arrays(SynchronousTestCase):
    """A JSON array, or a single value."""

    @given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), CUTS)
    def test_each_item_is_found_as_it_was_written(
        self, values: list[Any], indent: int | None, cuts: list[int]
    ) -> None:
        """Strings with brackets, quotes and backslashes, and every nesting, over any pieces."""
        body = json.dumps(values, indent=indent).encode()
        items = found(JsonItems(10_000), pieces(body, cuts))
        assert isinstance(items, list)
        self.assertEqual([json.loads(item.data) for item in items], values)
        self.assertTrue(all(item.size == len(item.data) for item in items))

    @given(STRANGE, CUTS, st.sampled_from([3, 1000]), st.sampled_from([JsonItems, LineItems]))
    def test_pieces_change_nothing(
        self, body: bytes, cuts: list[int], most: int, kind: Callable[[int], Items]
    ) -> None:
        """Whatever the bytes are, the items, their sizes and the reasons are the same as in one piece."""
        self.assertEqual(found(kind(most), pieces(body, cuts)), found(kind(most), [body]))

    def test_a_body_that_is_no_array_is_one_item(self) -> None:
        """An object, and also what is no JSON: its decoder will say so."""
        for body in (b'{"a": [1, 2]}', b'"x"', b"nonsense, all of it", b'{"a":1}{"b":2}'):
            self.assertEqual(array(b" \n" + body + b"\r\n"), [Item(body, len(body))])
        self.assertEqual(array(b" \n "), "the body is empty")

    def test_a_bad_item_costs_no_other_one(self) -> None:
        """What is wrong inside an item stays inside."""
        items = array(b'[{"a":nope}, {"b":1]  , 5 6, "x" y, } , {"c":1}]')
        self.assertEqual(
            [item.data for item in items],
            [b'{"a":nope}', b'{"b":1]', b"5 6", b'"x" y', b"}", b'{"c":1}'],
        )

    def test_where_items_cannot_be_told_apart_the_body_is_refused(self) -> None:
        """Each with a reason that quotes nothing of it."""
        for body, reason in (
            (b'[{"a":1}', "the array does not end"),
            (b'[{"a":1},', "the array does not end"),
            (b'["a', "the array does not end"),
            (b"[", "the array does not end"),
            (b'[{"a":1},]', "an item of the array is missing beside a comma"),
            (b"[,1]", "an item of the array is missing beside a comma"),
            (b"[1] 2", "something follows after the array's end"),
        ):
            self.assertEqual(array(body), reason, body)
        self.assertEqual(array(b"[ ]\n"), [])

    def test_of_an_item_too_large_the_beginning_is_kept(self) -> None:
        """And how large it was; what follows it is found all the same."""
        self.assertEqual(array(b'[{"a":"12345"} ,{}]', 4), [Item(b'{"a"', 13), Item(b"{}", 2)])
        self.assertEqual(array(b"123456 ", 4), [Item(b"1234", 6)])


class Lines(SynchronousTestCase):
    """NDJSON."""

    def test_each_line_is_an_item(self) -> None:
        """With LF or CRLF; empty ones are none, and the last one's end may be missing."""
        items = found(LineItems(4), [b'{}\r\n\n \n{"a', b'":1}\n1', b"2"])
        self.assertEqual(items, [Item(b"{}", 2), Item(b'{"a"', 7), Item(b"12", 2)])
        self.assertEqual(found(LineItems(4), [b"1\n"]), [Item(b"1", 1)])
        self.assertEqual(found(LineItems(4), [b"\n \n"]), "the body is empty")
