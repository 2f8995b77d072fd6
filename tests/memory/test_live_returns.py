"""Live clients that come back to what the journal alone has: how far they go on, and what many of them cost."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.websocket import streams
from lineside.edges.websocket.channels import Hub, Publication
from lineside.edges.websocket.streams import FOUND, JournalStreams
from lineside.edges.websocket.sweep import AT_A_TIME
from lineside.journal import search
from lineside.model.errors import LinesideError
from lineside.model.event import Event, Seq
from lineside.testing.journals import JournalOnFile

MANY = 10_000
Coming = Deferred[list[Publication] | None]


class ReturnsCase(SynchronousTestCase):
    """A journal on a file; ``self.looks`` counts how often it was looked into."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.looks = 0
        self.gate: Deferred[None] | None = None
        """What the next look waits for."""
        self.serve()

    def serve(self) -> None:
        self.streams = JournalStreams(self.file.journal, self.file.database, Hub(), self.clock)
        read = self.file.database.read

        async def counted(look: Callable[[Any], Any]) -> Any:
            self.looks += 1
            gate, self.gate = self.gate, None
            if gate is not None:
                await gate
            return await read(look)

        self.patch(self.file.database, "read", counted)

    def append(self, device: str, count: int = 1, size: int = 1) -> list[Seq]:
        events = [Event(b'"%s"' % (b"x" * size), device=device) for _ in range(count)]
        work: Coroutine[Any, Any, Any] = self.file.journal.append("gate", events)
        return [receipt.seq for receipt in self.successResultOf(Deferred.fromCoroutine(work))]

    def back(self, channel: str, offset: int, limit: int = 300) -> Coming:
        return Deferred.fromCoroutine(self.streams.of(channel).since(offset, limit))

    def told(self, coming: Coming) -> list[int] | None:
        """Return the offsets of what one is told who came back, in the next turn of the reactor."""
        self.clock.advance(0)
        found = self.successResultOf(coming)
        return None if found is None else [each.offset for each in found]


class OneDevice(ReturnsCase):
    """Whose events lie far apart."""

    def test_over_many_stretches(self) -> None:
        """What lies between is gone through, a few MiB at a time, and nothing is missing."""
        self.patch(search, "STRETCH", 10_000)
        first = self.append("a")
        for _ in range(8):
            self.append("b", 10, size=1_500)
            first += self.append("a")
        self.looks = 0
        self.assertEqual(first[1:], self.told(self.back("device:a", first[0])))
        self.assertGreater(self.looks, 4)

    def test_as_far_back_as_may_be_looked(self) -> None:
        """Who was away for longer is told that it lost some, although that may be nothing."""
        self.patch(search, "STRETCH", 1_000)
        self.patch(streams, "FAR", 30_000)
        self.serve()
        self.append("a")
        for _ in range(60):
            self.append("b", size=1_500)
        (last,) = self.append("a")
        self.looks = 0
        self.assertIsNone(self.told(self.back("device:a", 1)))
        self.assertLess(self.looks, 60)
        self.assertEqual([last], self.told(self.back("device:a", last - 15)))

    def test_more_than_may_be_sent(self) -> None:
        """By number or by bytes: it is told so, as soon as that is known."""
        for limit, events, size in ((300, 301, 1), (10_000, 50, 100_000)):
            before = self.file.journal.head
            self.append("a", events, size)
            self.assertIsNone(self.told(self.back("device:a", before, limit)))
            self.assertEqual(events - 10, len(self.told(self.back("device:a", before + 10, limit)) or []))

    def test_more_than_one_look_finds(self) -> None:
        """The next look goes on."""
        seqs = self.append("a", 3 * FOUND)
        self.assertEqual(seqs[1:], self.told(self.back("device:a", seqs[0], 10_000)))


class Many(ReturnsCase):
    """All come back at once, as after a restart."""

    def setUp(self) -> None:
        super().setUp()
        # One look finds no more than some of them.
        self.patch(streams, "FOUND", 30)
        for number in range(100):
            self.append(f"d{number % 10}")
        self.file.restart()
        self.serve()

    def arrive(self, many: int) -> list[Coming]:
        """Let so many come while the first look is under way, each from where it was."""
        self.gate = gate = Deferred[None]()
        coming = [self.back(f"device:d{number % 10}", number % 100) for number in range(many)]
        gate.callback(None)
        return coming

    def test_the_journal_is_read_for_all_of_them_together(self) -> None:
        """Each has what it missed; the journal was gone through twice, not ten thousand times."""
        coming = self.arrive(MANY)
        self.clock.advance(0)
        for number, each in enumerate(coming):
            missed = [seq for seq in range(number % 100 + 1, 101) if (seq - 1) % 10 == number % 10]
            self.assertEqual(missed, [one.offset for one in self.successResultOf(each) or []])
        self.assertLessEqual(self.looks, 2 * 4 + 1)

    def test_the_gateway_does_other_things_meanwhile(self) -> None:
        """A few are answered in a turn of the reactor."""
        turns: list[int] = []
        told = 0

        def tell(found: Any) -> None:
            nonlocal told
            told += 1

        def turn() -> None:
            nonlocal told
            turns.append(told)
            told = 0
            if sum(turns) < 500:
                self.clock.callLater(0, turn)

        for each in self.arrive(500):
            each.addCallback(tell)
        turn()
        self.clock.advance(0)
        self.assertEqual(500, sum(turns))
        self.assertLessEqual(max(turns), AT_A_TIME)

    def test_who_goes_meanwhile_is_not_waited_for(self) -> None:
        """The others are told all the same."""
        coming = self.arrive(500)
        for each in coming[1:]:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(10, len(self.told(coming[0]) or []))

    def test_a_look_that_fails(self) -> None:
        """Is told to whom it was for; who comes later is served."""
        self.gate = gate = Deferred[None]()
        failed = self.back("device:d0", 0)
        later = self.back("device:d0", 0)
        gate.errback(LinesideError("the disk is away"))
        self.failureResultOf(failed, LinesideError)
        self.assertEqual(10, len(self.told(later) or []))

    def test_the_gateways_end(self) -> None:
        """Nobody waits for ever."""
        self.gate = Deferred()
        coming = [self.back("device:d0", 0) for _ in range(3)]
        self.streams.stop()
        for each in coming:
            self.failureResultOf(each, CancelledError)
        told = self.back("device:d0", 0)
        self.streams.stop()
        self.failureResultOf(told, CancelledError)
        self.assertEqual([], self.clock.getDelayedCalls())
