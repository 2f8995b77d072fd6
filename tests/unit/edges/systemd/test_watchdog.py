"""A sign of life is given while the gateway works, and only then."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.systemd.notify import Supervisor
from lineside.edges.systemd.watchdog import Watchdog

LIMIT = 60.0


class Threads:
    """Two threads, each of which may be stuck."""

    def __init__(self) -> None:
        self.stuck: set[str] = set()
        self.asked = 0
        self.waiting: list[Deferred[None]] = []

    def echo(self) -> dict[str, Deferred[None]]:
        self.asked += 1
        echoes: dict[str, Deferred[None]] = {name: Deferred() for name in ("writer", "reader")}
        for name, echo in echoes.items():
            if name in self.stuck:
                self.waiting.append(echo)
            else:
                echo.callback(None)
        return echoes

    def go_on(self) -> None:
        self.stuck.clear()
        waiting, self.waiting = self.waiting, []
        for echo in waiting:
            echo.callback(None)


class SignsOfLife(SynchronousTestCase):
    """By a clock that the test turns."""

    def setUp(self) -> None:
        self.clock, self.threads = Clock(), Threads()
        self.signs: list[float] = []

        def send(datagram: bytes) -> None:
            self.assertEqual(b"WATCHDOG=1\n", datagram)
            self.signs.append(self.clock.seconds())

        self.watchdog = Watchdog(Supervisor(send, self.clock), LIMIT, self.threads.echo, self.clock)
        self.log = self.enterContext(capturedLogs())
        self.successResultOf(Deferred.fromCoroutine(self.watchdog.start()))

    def turn(self, seconds: int) -> None:
        self.clock.pump([1.0] * seconds)

    def names(self) -> list[str]:
        return [event["log_format"] for event in self.log]

    def test_an_idle_gateway_never_starves(self) -> None:
        """Whether or not a device says anything, a sign goes out twice in each limit."""
        self.turn(300)
        self.assertEqual([30.0 * n for n in range(1, 11)], self.signs)
        self.assertEqual([], self.names())

    def test_either_thread_that_is_stuck_ends_the_signs(self) -> None:
        """The reactor still turns, and yet nothing is told; the log names the thread before the end comes."""
        for thread in ("writer", "reader"):
            self.threads.stuck = {thread}
            self.signs.clear()
            with capturedLogs() as log:
                self.turn(300)
            self.assertEqual([], self.signs)
            (event,) = log
            self.assertEqual(("watchdog.unanswered", thread), (event["log_format"], event["silent"]))
            self.threads.go_on()

    def test_the_log_warns_before_the_limit_is_over(self) -> None:
        """What hangs is in the log while there is still somebody to log it."""
        self.turn(30)
        self.threads.stuck = {"writer"}
        self.turn(44)
        self.assertEqual([], self.names())
        self.turn(1)
        self.assertEqual(["watchdog.unanswered"], self.names())
        self.assertLess(self.clock.seconds(), self.signs[-1] + LIMIT)

    def test_a_slow_disk_is_not_a_dead_one(self) -> None:
        """A sync that takes almost half the limit, again and again, leaves no gap of the whole limit."""
        gaps = []
        for _ in range(10):
            self.threads.stuck = {"writer"}
            while not self.threads.waiting:
                self.turn(1)
            self.turn(29)
            last = self.signs[-1] if self.signs else 0.0
            self.threads.go_on()
            gaps.append(self.signs[-1] - last)
        self.assertLess(max(gaps), LIMIT)

    def test_what_answers_late_is_told_at_once(self) -> None:
        """Nobody waits for the next turn to say that it goes on, and the log says that it does."""
        self.threads.stuck = {"reader"}
        self.turn(75)
        self.threads.go_on()
        self.assertEqual([75.0], self.signs)
        self.assertEqual(["watchdog.unanswered", "watchdog.answered"], self.names())
        self.assertEqual(45.0, self.log[-1]["after"])

    def test_nobody_is_asked_twice(self) -> None:
        """What hangs gets no second question behind the first."""
        self.threads.stuck = {"writer"}
        self.turn(300)
        self.assertEqual(1, self.threads.asked)

    def test_the_end_waits_for_no_answer(self) -> None:
        """It stops while a thread hangs, and nothing is told or logged after that."""
        self.threads.stuck = {"writer"}
        self.turn(31)
        self.successResultOf(Deferred.fromCoroutine(self.watchdog.stop()))
        self.assertEqual([], self.clock.getDelayedCalls())
        self.threads.go_on()
        self.assertEqual(([], []), (self.signs, self.names()))
