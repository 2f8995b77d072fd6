"""Lists and facts in a terminal, and in a pipe."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.tables import print_facts, print_list


class Printing(SynchronousTestCase):
    """What comes out where the output is no terminal."""

    def test_a_list_is_cut_nowhere_in_a_pipe(self) -> None:
        """Numbers stand right, words left, and the last column is as long as it is."""
        with redirect_stdout(StringIO()) as out:
            print_list(("ID", "NAME", "BODY"), [("7", "a", "x" * 300), ("12", "longer", Text("y"))], numbers=1)
        heading, first, second = out.getvalue().splitlines()
        self.assertEqual(heading.split(), ["ID", "NAME", "BODY"])
        self.assertEqual(first.rstrip(), " 7  a       " + "x" * 300)
        self.assertEqual(second.rstrip(), "12  longer  y")

    def test_facts_without_a_value_are_left_out(self) -> None:
        """A value of several lines keeps them."""
        with redirect_stdout(StringIO()) as out:
            print_facts([("name", "one\ntwo"), ("nothing", None), ("other", Text("x"))])
        self.assertEqual(
            [line.split() for line in out.getvalue().splitlines()], [["name", "one"], ["two"], ["other", "x"]]
        )

    def test_nothing_that_is_shown_commands_the_terminal(self) -> None:
        """An escape sequence that a device sent is visible and harmless, in any column."""
        evil = "\x1b[2J\x9b2J"
        with redirect_stdout(StringIO()) as out:
            print_list(("A", "B"), [(evil, Text(evil, style="red"))], numbers=0)
            print_facts([("raw", evil), ("body", Text(evil))])
        self.assertTrue(all(line.isprintable() for line in out.getvalue().split("\n")), out.getvalue())
        self.assertEqual(out.getvalue().count("\\x1b[2J\\x9b2J"), 4)
