"""The fast `LineReceiver`: Twisted's own tests of its own, and the batches besides."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.protocols import basic
from twisted.protocols.test import test_basic
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.receiver import LineReceiver


def with_ours(case: type) -> dict[str, Any]:
    """Return a test case's methods, made to see our class wherever they name Twisted's."""
    module = dict(vars(test_basic))
    seen_basic = type(sys)("basic")
    vars(seen_basic).update(vars(basic), LineReceiver=LineReceiver)
    module["basic"] = seen_basic
    for name, value in vars(test_basic).items():
        if isinstance(value, type) and basic.LineReceiver in value.__bases__:
            members = {key: rebound(member, module) for key, member in vars(value).items() if key != "__dict__"}
            module[name] = type(name, (LineReceiver,), members)
    return {key: rebound(member, module) for key, member in vars(case).items() if not key.startswith("__")}


def rebound(member: Any, module: dict[str, Any]) -> Any:
    """Return a function with another module's names around it; anything else as it is."""
    if not isinstance(member, FunctionType):
        return member
    copy = FunctionType(member.__code__, module, member.__name__, member.__defaults__, member.__closure__)
    copy.__kwdefaults__ = member.__kwdefaults__
    return copy


class TwistedsLineReceiverTests(SynchronousTestCase):
    """Twisted's tests of `LineReceiver`, with ours in its place."""

    locals().update(with_ours(test_basic.LineReceiverTests))

    def test_they_are_twisteds_tests(self) -> None:
        """What runs here are Twisted's own tests, and the class they make is ours."""
        self.assertGreaterEqual(len([name for name in dir(self) if name.startswith("test_")]), 14)
        made: Any = with_ours(test_basic.LineReceiverTests)["test_pausing"]
        self.assertTrue(issubclass(made.__globals__["LineTester"], LineReceiver))


class TwistedsLengthTests(SynchronousTestCase):
    """Twisted's tests of lines that are too long, with ours in its place."""

    locals().update(with_ours(test_basic.LineReceiverLineLengthExceededTests))


def recorder(kind: type) -> Any:
    """Return a receiver of a kind that takes down its lines, does what some of them say, and what became of it."""

    class Recorder(kind):
        MAX_LENGTH = 12

        def __init__(self) -> None:
            self.seen: list[object] = []

        def lineReceived(self, line: bytes) -> object:
            self.seen.append(line)
            if line == b"pause":
                self.pauseProducing()
            elif line == b"raw":
                self.setRawMode()
            elif line == b"clear":
                self.seen.append(("cleared", self.clearLineBuffer()))
            elif line == b"lose":
                self.transport.loseConnection()
            elif line == b"why":
                return "because"
            return None

        def rawDataReceived(self, data: bytes) -> None:
            self.seen.append(("raw", data))
            self.setLineMode(data[3:])

        def lineLengthExceeded(self, line: bytes) -> None:
            self.seen.append(("too long", line))

    return Recorder()


WORDS = [b"a", b"", b"pause", b"raw", b"clear", b"lose", b"why", b"x" * 12, b"x" * 13, b"x" * 40]
STREAM = st.lists(st.sampled_from(WORDS), max_size=12).map(b"\n".join)


class BatchTests(SynchronousTestCase):
    """What ours adds, and that it adds nothing else."""

    @given(st.lists(STREAM, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
    def test_it_does_what_twisteds_does(self, chunks: list[bytes], delimiter: bytes) -> None:
        """Whatever lines do, and however the stream is cut, ours calls the same methods with the same bytes."""
        seen = []
        for kind in (basic.LineReceiver, LineReceiver):
            receiver = recorder(kind)
            receiver.delimiter = delimiter
            transport = StringTransport(lenient=True)
            receiver.makeConnection(transport)
            for chunk in chunks:
                returned = receiver.dataReceived(chunk.replace(b"\n", delimiter))
                receiver.seen.append(("returned", returned))
                if receiver.paused:
                    receiver.resumeProducing()
            seen.append([*receiver.seen, receiver.clearLineBuffer(), transport.disconnecting])
        self.assertEqual(seen[0], seen[1])

    def test_a_chunk_is_one_call(self) -> None:
        """Who overrides `linesReceived` gets all complete lines of a chunk at once, the rest with the next."""
        taken: list[list[bytes]] = []

        class Batches(LineReceiver):
            def linesReceived(self, lines: list[bytes]) -> None:
                taken.append(lines)

        receiver = Batches()
        receiver.makeConnection(StringTransport())
        receiver.dataReceived(b"1\r\n2\r\n\r\n3")
        receiver.dataReceived(b"\r\n4\r\n")
        self.assertEqual([[b"1", b"2", b""], [b"3", b"4"]], taken)

    def test_long_lines_may_be_left_to_the_batch(self) -> None:
        """With `judges_length` a complete line of any length is given on; only one without an end is exceeded."""
        seen: list[object] = []

        class Judge(LineReceiver):
            judges_length = True
            MAX_LENGTH = 3

            def linesReceived(self, lines: list[bytes]) -> None:
                seen.append(lines)

            def lineLengthExceeded(self, line: bytes) -> None:
                seen.append(line)

        receiver = Judge()
        receiver.makeConnection(StringTransport())
        receiver.dataReceived(b"12345\r\n1\r\n12345")
        self.assertEqual([[b"12345", b"1"], b"12345"], seen)
