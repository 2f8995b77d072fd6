"""The operator's words: what a line asks for, how it may go on, and how it is typed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.ssh.shell import telling
from lineside.edges.ssh.shell.commands import WrongUse, asked, completions, every
from lineside.edges.ssh.shell.editing import LineEditor, Typed
from lineside.operations.requests import DiscardDeadLetters, ListEvents, Pause, RetryDeadLetters, TailEvents
from lineside.operations.results import EventList, EventSummary

NAMES = {"source": ["gate", "weigh"], "route": ["checkin"], "target": ["erp"], "task": ["count"]}


class Words(SynchronousTestCase):
    """Lines."""

    def test_a_line_is_a_request(self) -> None:
        """With what it says, and the bounds of the request."""
        self.assertEqual(asked("events list --source gate --limit 3").request, ListEvents(source="gate", limit=3))
        self.assertEqual(asked("events tail -n 0").request, TailEvents(last=0))
        self.assertEqual(asked("pause source gate").request, Pause(kind="source", id="gate"))
        self.assertEqual(asked("deadletters retry 3 4").request, RetryDeadLetters(ids=[3, 4]))
        self.assertEqual(asked("deadletters discard --all").request, DiscardDeadLetters())
        self.assertTrue(asked("status --json").as_json)
        self.assertTrue(asked("exit").leave)
        self.assertIsNone(asked("   ").request)

    def test_what_is_none_says_why(self) -> None:
        """In a line with what was meant, and how the command is used."""
        for line, told in {
            "statsu": 'there is no command "statsu"; did you mean "status"?',
            "events": "events needs one of list, show, tail",
            "events lst": 'did you mean "list"',
            "pause socket gate": "'socket' is not one of 'source', 'route', 'target'",
            "deadletters discard": "or say --all or --route",
            "events list --limit 0": "usage: events list",
            "events show x": "is not a valid integer",
            'events list --source "gate': "a quotation mark has no other",
            "tasks runs --task ''": "usage: tasks runs",
        }.items():
            self.assertIn(told, str(self.assertRaises(WrongUse, asked, line)), line)

    def test_every_command_is_told_and_completed(self) -> None:
        """Help has all of them, and Tab leads to each of them."""
        told = asked("help").text
        for path, _ in every():
            self.assertIn(f"{path} ", told)
            words = path.split(" ")
            for place, word in enumerate(words):
                self.assertIn(word, completions(" ".join([*words[:place], word[:1]]), NAMES))
            self.assertIn(path, asked(f"help {path}").text)

    def test_names_of_the_configuration_are_completed(self) -> None:
        """After the word that says what they are names of."""
        self.assertEqual(completions("pause source ", NAMES), ["gate", "weigh"])
        self.assertIn("target", completions("resume ", NAMES))
        self.assertEqual(completions("events list --source g", NAMES), ["gate", "weigh"])
        self.assertIn("count", completions("tasks run c", NAMES))
        self.assertEqual(completions("nothing at all", NAMES), [])

    def test_what_a_device_said_does_not_command_the_terminal(self) -> None:
        """Control characters are escaped, and a line is cut to the terminal."""
        event = EventSummary(1, "gate", "now", "reader\x1b[2J", None, "\x1b]0;title\x07" + "x" * 200, None)
        lines = telling.events(EventList([event], 1, 1), 80)
        self.assertNotIn("\x1b", "".join(lines))
        self.assertIn("\\x1b", lines[1])
        self.assertLessEqual(max(map(len, lines)), 80)


class Typing(SynchronousTestCase):
    """The line on a terminal."""

    def setUp(self) -> None:
        self.shown: list[str] = []
        self.columns = 40
        self.editor = LineEditor(
            "> ", lambda before: completions(before, NAMES), self.shown.append, lambda: self.columns
        )

    def type(self, keys: bytes) -> list[Typed]:
        return self.editor.feed(keys)

    def test_keys(self) -> None:
        """Left, right, home, end, backspace, delete, and the controls of shells."""
        for keys, line in {
            b"staus\x1b[D\x1b[Dt\r": "status",
            b"xstatus\x1b[H\x1b[3~\r": "status",
            b"tatus\x01s\x05!\x7f\r": "status",
            b"events lst\x17list\r": "events list",
            b"all wrong\x15status\r": "status",
            b"status and more\x1b[1~\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x0b\r": "status",
            "gr\u00fc\u00df\r".encode(): "gr\u00fc\u00df",
            b"a\xff\x00\x1b[99;99Rb\r": "a\ufffdb",
        }.items():
            self.assertEqual(self.type(keys), [Typed("line", line)], keys)

    def test_lines_are_remembered(self) -> None:
        """Up and down; what was being typed is kept meanwhile."""
        self.type(b"status\revents list\r")
        self.assertEqual(self.type(b"he\x1b[A\x1b[A\r"), [Typed("line", "status")])
        self.assertEqual(self.type(b"he\x1b[A\x1b[B\r"), [Typed("line", "he")])

    def test_tab_goes_on_or_tells_what_there_is(self) -> None:
        """A word that is the only one is ended by a space."""
        self.assertEqual(self.type(b"stat\t\r"), [Typed("line", "status ")])
        self.assertEqual(self.type(b"pause so\tg\t\r"), [Typed("line", "pause source gate ")])
        self.type(b"de\t")
        self.assertTrue(any("deadletters  devices" in text for text in self.shown))

    def test_cancel_and_leave(self) -> None:
        """Ctrl-C gives the line up, Ctrl-D leaves where it is empty."""
        self.assertEqual(self.type(b"half\x03"), [Typed("cancel")])
        self.assertEqual(self.type(b"\x04"), [Typed("leave")])
        self.assertEqual(self.type(b"ab\x01\x04\r"), [Typed("line", "b")])

    def test_a_long_line_stays_within_its_row(self) -> None:
        """The part that is typed is in sight; the whole is bounded."""
        self.type(b"x" * 5_000)
        self.assertLessEqual(len(self.shown[-1].removeprefix("\r").removesuffix("\x1b[K")), self.columns)
        (line,) = self.type(b"\r")
        self.assertEqual(len(line.text), 1_000)
