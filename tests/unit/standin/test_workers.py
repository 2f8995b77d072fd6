"""Workers."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.workers import Workers


class Line(SynchronousTestCase):
    def setUp(self) -> None:
        self.number = 2
        self.workers = Workers(lambda: self.number)

    def enter(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.workers.enter())

    def test_as_many_enter_as_there_are_workers(self) -> None:
        """The others in the order in which they came."""
        turns = [self.enter() for _ in range(4)]
        self.assertEqual([turn.called for turn in turns], [True, True, False, False])
        self.workers.leave()
        self.assertEqual([turn.called for turn in turns], [True, True, True, False])
        self.workers.leave()
        self.assertTrue(turns[3].called)

    def test_without_a_number_nobody_waits(self) -> None:
        """Also after it was lifted."""
        self.number = 1
        first, second = self.enter(), self.enter()
        self.assertEqual((first.called, second.called), (True, False))
        self.number = 0
        self.assertTrue(self.enter().called)
        self.assertTrue(second.called)

    def test_fewer_workers_count_once_those_at_work_are_done(self) -> None:
        """Nobody is thrown out."""
        turns = [self.enter() for _ in range(3)]
        self.number = 1
        self.workers.leave()
        self.assertFalse(turns[2].called)
        self.workers.leave()
        self.assertTrue(turns[2].called)

    def test_one_who_gives_up_leaves_the_line(self) -> None:
        """The next one gets the turn."""
        turns = [self.enter() for _ in range(4)]
        turns[2].cancel()
        self.failureResultOf(turns[2], CancelledError)
        self.workers.leave()
        self.assertTrue(turns[3].called)
