"""What a simulated old box shows of its log."""

from __future__ import annotations

from itertools import count

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.testing.legacyhost import CHUNK, OldBox, UnknownCommand, Wanted, begin, parse

LOG = b"one\ntwo\nthree\n"


class Shown:
    """Takes what a command writes, as long as it is not full."""

    def __init__(self) -> None:
        self.written = b""
        self.complained = ""
        self.status: int | None = None
        self.full = False

    def write(self, data: bytes) -> None:
        self.written += data

    def complain(self, text: str) -> None:
        self.complained += text

    def finish(self, status: int) -> None:
        self.status = status


class Box(SynchronousTestCase):
    """One box that writes two lines a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.box = OldBox(self.clock, (b"%d" % number for number in count()), rate=2.0, path="/log")
        self.shown = Shown()

    def begin(self) -> None:
        ended = self.box.start()
        self.addCleanup(self.successResultOf, ended)
        self.addCleanup(self.box.stop)

    def test_tail_begins_where_it_is_told(self) -> None:
        """As the real one does, by lines and bytes, from the beginning and from the end."""
        for options, rest in {
            "": LOG,
            "-n 2": b"two\nthree\n",
            "-n 9": LOG,
            "-n 0": b"",
            "-n +1": LOG,
            "-n +2": b"two\nthree\n",
            "-n +4": b"",
            "-n +9": b"",
            "-c 3": b"ee\n",
            "-c +1": LOG,
            "-c +5": b"two\nthree\n",
            "-c +99": b"",
        }.items():
            wanted = parse(f"tail {options} /log")
            self.assertEqual(rest, LOG[begin(LOG, wanted) :], options)
        self.assertEqual(b"three", LOG[begin(LOG[:-1], parse("tail -n 1 /log")) : -1])
        self.assertEqual(Wanted("/log", "lines", 0, follow="name"), parse("tail -n 0 -F '/log'"))
        self.assertEqual(0, begin(LOG, parse("cat /log")))

    def test_other_commands_are_unknown(self) -> None:
        """It has no shell."""
        for command in ("", "rm -rf /", "tail", "tail -x /log", "tail -n x /log", "tail /a /b", "tail 'a"):
            self.assertRaises(UnknownCommand, parse, command)
        self.box.run(self.shown, "ls")
        self.assertEqual((127, "sh: ls: not found\n"), (self.shown.status, self.shown.complained))
        self.box.run(self.shown, "cat /other")
        self.assertEqual(1, self.shown.status)

    def test_it_tells_how_large_a_file_is(self) -> None:
        """As whoever begins at its end asks."""
        self.box.files["/log"] += LOG
        self.box.run(self.shown, "wc -c < '/log'")
        self.assertEqual((b"14\n", 0), (self.shown.written, self.shown.status))

    def test_a_log_that_grows_is_followed(self) -> None:
        """At its rate; without -f it is over at the end of the file."""
        self.begin()
        self.box.run(self.shown, "tail -n +1 -f /log")
        other = Shown()
        self.clock.pump([0.5] * 4)
        self.box.run(other, "cat /log")
        self.assertEqual(b"0\n1\n2\n3\n", self.shown.written)
        self.assertEqual((b"0\n1\n2\n3\n", 0), (other.written, other.status))
        self.assertIsNone(self.shown.status)

    def test_a_rotated_log_is_followed_by_its_name(self) -> None:
        """With -F; with -f the old file is."""
        self.box = OldBox(self.clock, iter([b"a", b"b", b"c"]), rate=2.0, path="/log", rotate_every=2)
        self.begin()
        old = Shown()
        self.box.run(self.shown, "tail -n +1 -F /log")
        self.box.run(old, "tail -n +1 -f /log")
        self.clock.pump([0.5] * 5)
        self.assertEqual((b"a\nb\nc\n", b"a\nb\n"), (self.shown.written, old.written))
        self.assertIn("has been replaced", self.shown.complained)
        self.assertEqual({"/log": b"c\n", "/log.1": b"a\nb\n"}, self.box.files)
        self.assertEqual((3, 1), (self.box.written, self.box.rotations))

    def test_a_client_that_does_not_read_is_waited_for(self) -> None:
        """Nothing is skipped."""
        self.box.files["/log"] += b"x" * 3 * CHUNK
        self.shown.full = True
        run = self.box.run(self.shown, "cat /log")
        self.assertEqual(b"", self.shown.written)
        self.shown.full = False
        run.drained()
        self.assertEqual((3 * CHUNK, 0), (len(self.shown.written), self.shown.status))

    def test_nothing_is_left_of_a_command_whose_channel_is_closed(self) -> None:
        """However it ended."""
        run = self.box.run(self.shown, "tail -F /log")
        self.assertEqual({run}, self.box.running)
        run.stop()
        self.assertEqual(set(), self.box.running)
