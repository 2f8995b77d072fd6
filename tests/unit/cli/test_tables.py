"""Lists and facts in a terminal, and in a pipe."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO

from rich.text import Text
from twisted.trial.unittest import SynchronousTestCase

from lineside.cli.documents import json_line, plain_lines
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

    def test_no_value_looks_like_another_row(self) -> None:
        """A device whose name holds a whole event is one row; marks of direction turn nothing around."""
        name = "gate\n  9  2026-03-09  shelf\r\u2028x\u202egate\u200b"
        with redirect_stdout(StringIO()) as out:
            print_list(("N", "DEVICE", "BODY"), [("7", name, Text(name)), ("8", "b", "c")], numbers=1)
            print_facts([("device", name)])
        lines = out.getvalue().splitlines()
        self.assertEqual(len(lines), 5)
        self.assertTrue(all(line.isprintable() for line in lines))
        self.assertEqual(out.getvalue().count("\\u2028x\\u202egate\\u200b"), 3)
        # A second line of a fact stands below the value, where no fact begins.
        self.assertTrue(lines[4].startswith("        "), lines[4])


class Texts(SynchronousTestCase):
    """What is printed as it comes."""

    def test_json_is_the_same_and_commands_nothing(self) -> None:
        """Whoever reads it gets the value, also with letters beyond the first plane."""
        for text in ("\x1b[2J\x9b2J\x7f\u202e\n", "Müller", "\U000e0041\U0001f3ed", ""):
            line = json_line({"device": text})
            self.assertTrue(line.isprintable(), line)
            self.assertEqual(json.loads(line), {"device": text})
        self.assertEqual(json_line("Müller \U0001f3ed"), '"Müller \U0001f3ed"')

    def test_lines_stay_lines(self) -> None:
        """Of an answer or an error of several."""
        self.assertEqual(plain_lines("a\n\x1b[2Jb\r\nc"), "a\n\\x1b[2Jb\\r\nc")
