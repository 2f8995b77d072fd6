"""How errors name places and suggest spellings."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.wording import did_you_mean, key_path


class Wording(SynchronousTestCase):
    """Key paths and suggestions."""

    def test_a_path_reads_like_the_file(self) -> None:
        """Bare keys stand as they are, others in quotes, array items by their place."""
        self.assertEqual(
            'routes.checkin.document.items[0]."item code"',
            key_path("routes", "checkin", "document", "items", 0, "item code"),
        )

    @given(st.lists(st.text(), min_size=1))
    def test_a_path_of_keys_is_toml(self, keys: list[str]) -> None:
        """Whatever the keys are, the path can be copied into the file and means them."""
        table = tomllib.loads(f"{key_path(*keys)} = 1")
        for key in keys:
            [(found, table)] = table.items()
            self.assertEqual(key, found)

    def test_a_close_word_is_suggested(self) -> None:
        """A slip of the keyboard is recognised."""
        self.assertEqual('; did you mean "listen"?', did_you_mean("lisen", ["ack", "listen", "type"]))

    def test_nothing_is_suggested_for_a_strange_word(self) -> None:
        """A wild guess would only mislead."""
        self.assertEqual("", did_you_mean("colour", ["ack", "listen", "type"]))
