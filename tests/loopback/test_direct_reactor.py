"""The gateway's reactor serves what is ready as Twisted's does."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable

from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.reactor import WHAT_WE_KNOW, DirectReactor


class Readable(FileDescriptor):
    """One end of a socket pair whose other end has said something."""

    def __init__(self, case: DirectReactorTests, does: Callable[[], object]) -> None:
        self.mine, self.others = socket.socketpair()
        case.opened += [self.mine, self.others]
        super().__init__(case.reactor)
        self.others.send(b"x")
        self.read = 0
        self.lost: list[Failure] = []
        self._does = does
        self.startReading()

    def fileno(self) -> int:
        return self.mine.fileno()

    def doRead(self) -> object:
        self.read += len(self.mine.recv(10))
        return self._does()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.lost.append(reason)


class DirectReactorTests(SynchronousTestCase):
    """One turn at a time."""

    def setUp(self) -> None:
        self.reactor = DirectReactor()
        self.opened: list[socket.socket] = []
        self.addCleanup(self.close)

    def close(self) -> None:
        self.reactor.removeAll()
        for waker in list(self.reactor._internalReaders):
            waker.connectionLost(Failure(CONNECTION_DONE))
        self.reactor._poller.close()
        for each in self.opened:
            each.close()

    def test_what_is_known_of_the_reactor_is_so(self) -> None:
        """Everything this looks into exists in the installed Twisted, and its own turn is still made of it."""
        for name in WHAT_WE_KNOW:
            self.assertTrue(hasattr(self.reactor, name), name)
            self.assertIn(name, EPollReactor.doPoll.__code__.co_names)

    def test_everything_that_is_ready_is_served(self) -> None:
        """In one turn, each once."""
        ready = [Readable(self, lambda: None) for _ in range(3)]
        self.reactor.doIteration(0)
        self.assertEqual([1, 1, 1], [each.read for each in ready])

    def test_an_error_is_logged_and_ends_its_connection_alone(self) -> None:
        """Whether reading raises or the end that it leads to, the others have their turn."""

        def fail() -> None:
            raise ValueError("of the protocol")

        class Stubborn(Readable):
            def connectionLost(self, reason: Failure) -> None:
                super().connectionLost(reason)
                raise TypeError("of the end")

        bad, worse, good = Readable(self, fail), Stubborn(self, fail), Readable(self, lambda: None)
        self.reactor.doIteration(0)
        self.assertEqual((1, 1, 1), (bad.read, worse.read, good.read))
        self.assertEqual(([ValueError], [ValueError]), ([f.type for f in bad.lost], [f.type for f in worse.lost]))
        self.assertEqual(2, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))

    def test_one_that_another_has_closed_is_left_alone(self) -> None:
        """It was ready as the turn began, and is gone when it would be its own."""
        ready: list[Readable] = []

        def close_the_other() -> None:
            for each in ready:
                if not each.read:
                    each.stopReading()

        ready += [Readable(self, close_the_other) for _ in range(2)]
        self.reactor.doIteration(0)
        self.assertEqual(1, sum(each.read for each in ready))


class InstalledTests(SynchronousTestCase):
    """Which reactor a command runs on."""

    def test_commands_run_on_it(self) -> None:
        """Whatever runs a reactor to its end runs this one, by the monotonic clock."""
        told = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        self.assertEqual("DirectReactor monotonic\n", told)


PROGRAM = """
from lineside.assemble.lifecycle import run_reactor

async def tell(reactor):
    print(type(reactor).__name__, reactor.seconds.__name__)

run_reactor(tell)
"""
