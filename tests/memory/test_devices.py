"""A simulated line device against a gateway played by the test: answers, refusals, cuts, silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionRefusedError  # noqa: A004
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Seq
from lineside.testing.devices import LineDevice
from lineside.testing.ledger import Line, MemoryLedger


def lines(number: int | None = None) -> Iterator[Line]:
    """Yield ``line-1``, ``line-2`` … whose payload is their id."""
    endless = (Line(f"line-{n}", f"line-{n}".encode()) for n in count(1))
    return endless if number is None else islice(endless, number)


def named(*numbers: int) -> list[bytes]:
    """Return the payloads of lines by their numbers."""
    return [f"line-{n}".encode() for n in numbers]


class PlayedGateway:
    """The far end of the device's endpoint."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.transport = StringTransport()
        self.protocol: IProtocol | None = None
        self.ledger = MemoryLedger()

    def endpoint(self) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(self.reactor, "127.0.0.1", 7001)

    def device(
        self,
        source: Iterator[Line],
        *,
        window: int = 1,
        rate: float | None = None,
        answer_timeout: float = 30.0,
    ) -> LineDevice:
        device = LineDevice(
            self.reactor,
            self.endpoint(),
            source,
            self.ledger,
            window=window,
            rate=rate,
            answer_timeout=answer_timeout,
            wall=lambda: 1_000.0 + self.reactor.seconds(),
            random=Random(7),
        )
        device.start()
        return device

    @property
    def dials(self) -> int:
        return len(self.reactor.tcpClients)

    def accept(self) -> None:
        self.protocol = self.reactor.tcpClients[-1][2].buildProtocol(IPv4Address("TCP", "127.0.0.1", 7001))
        assert self.protocol is not None
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.reactor.advance(0)

    def refuse(self) -> None:
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectionRefusedError()))

    def received(self) -> list[bytes]:
        whole: bytes = self.transport.value()
        self.transport.clear()
        return whole.splitlines()

    def answer(self, *answers: str) -> None:
        assert self.protocol is not None
        self.protocol.dataReceived("".join(f"{answer}\n" for answer in answers).encode())

    def lose(self) -> None:
        assert self.protocol is not None
        protocol, self.protocol = self.protocol, None
        protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def hung_up(self) -> bool:
        return self.transport.disconnecting

    @property
    def cut_off(self) -> bool:
        return bool(self.transport.disconnected)

    def dialled_after(self, dials: int) -> bool:
        return self.dials > dials

    def wait_until(self, happened: Callable[[], bool]) -> float:
        """Turn the clock until something happened; returns the seconds that took."""
        for steps in range(1, 2_000):
            self.reactor.advance(0.01)
            if happened():
                return steps * 0.01
        raise AssertionError("it did not happen within 20 seconds")

    def redial(self, within: float = 5.0) -> None:
        """Let the device's backoff pass, and accept."""
        before = self.dials
        self.reactor.advance(within)
        assert self.dials == before + 1, "the device did not dial again"
        self.accept()


class Sending(SynchronousTestCase):
    """Order, window and answers on a connection that holds."""

    def test_one_at_a_time(self) -> None:
        """With a window of 1 the next line waits for the answer to the last."""
        gateway = PlayedGateway()
        device = gateway.device(lines(3))
        gateway.accept()
        self.assertEqual(gateway.received(), named(1))
        gateway.answer("OK 11")
        self.assertEqual(gateway.received(), named(2))
        gateway.answer("OK 12")
        gateway.answer("OK 15")
        self.assertEqual(gateway.ledger.acked, {"line-1": 11, "line-2": 12, "line-3": 15})
        self.successResultOf(Deferred.fromCoroutine(device.finished()))

    def test_the_window_is_kept_full_and_never_overrun(self) -> None:
        """As many lines are out as the window allows, and each answer lets out one more."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=4)
        gateway.accept()
        self.assertEqual(gateway.received(), named(1, 2, 3, 4))
        gateway.answer("OK 1", "OK 2")
        self.assertEqual(gateway.received(), named(5, 6))
        self.assertEqual([line.payload for line in device.unanswered], named(3, 4, 5, 6))

    def test_answers_in_any_pieces(self) -> None:
        """TCP may cut an answer anywhere; it counts when it is whole."""
        gateway = PlayedGateway()
        gateway.device(lines(2), window=2)
        gateway.accept()
        assert gateway.protocol is not None
        for piece in (b"O", b"K 2", b"1\r", b"\nERR json n", b"o brace\n"):
            gateway.protocol.dataReceived(piece)
        self.assertEqual(gateway.ledger.acked, {"line-1": 21})
        self.assertEqual(gateway.ledger.errors, {"line-2": ("json", "no brace")})

    def test_lines_are_pulled_only_when_they_can_be_sent(self) -> None:
        """A source behind a closed window is left alone, so a checkin's time is that of its sending."""
        gateway = PlayedGateway()
        source = lines(3)
        gateway.device(source, window=2)
        gateway.accept()
        self.assertEqual([line.id for line in source], ["line-3"])

    def test_a_dead_letter_is_reported_and_not_resent(self) -> None:
        """ERR other than unavailable means the gateway kept the line: the next one follows."""
        gateway = PlayedGateway()
        device = gateway.device(lines(2))
        gateway.accept()
        gateway.received()
        gateway.answer("ERR too-long 70000 bytes")
        self.assertEqual(gateway.received(), named(2))
        self.assertEqual(gateway.ledger.errors, {"line-1": ("too-long", "70000 bytes")})
        self.assertEqual(device.counts.errors, 1)

    def test_a_line_that_would_get_no_single_answer_is_not_sent(self) -> None:
        """A blank line gets no answer and one with a line feed gets two: either would shift all that follow."""
        for payload in (b"", b" \r", b"two\nlines"):
            gateway = PlayedGateway()
            device = gateway.device(iter([Line("odd", payload)]))
            gateway.accept()
            self.assertEqual(gateway.received(), [])
            wrong = self.failureResultOf(Deferred.fromCoroutine(device.finished()), ValueError)
            self.assertIn("odd", str(wrong.value))


class Unavailable(SynchronousTestCase):
    """An overloaded gateway stores nothing and says so."""

    def test_the_line_is_sent_again_later(self) -> None:
        """Not at once, for that would add to the load; and no new line passes it."""
        gateway = PlayedGateway()
        device = gateway.device(lines(2))
        gateway.accept()
        gateway.received()
        gateway.answer("ERR unavailable journal is behind")
        self.assertEqual(gateway.received(), [])
        gateway.reactor.advance(1)
        self.assertEqual(gateway.received(), named(1))
        gateway.answer("OK 1")
        self.assertEqual(gateway.received(), named(2))
        self.assertEqual(gateway.ledger.errors, {})
        self.assertEqual((device.counts.unavailable, device.counts.resent), (1, 1))

    def test_refused_lines_of_a_window_keep_their_order(self) -> None:
        """They wait for the answers still to come, then go out again as they first went."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=4)
        gateway.accept()
        gateway.received()
        gateway.answer("ERR unavailable full", "OK 7", "ERR unavailable full")
        gateway.reactor.advance(10)
        self.assertEqual(gateway.received(), [])
        gateway.answer("ERR unavailable full")
        gateway.reactor.advance(1)
        self.assertEqual(gateway.received(), named(1, 3, 4, 5))

    def test_each_refusal_in_a_row_waits_longer(self) -> None:
        """A gateway that stays overloaded is asked less and less often, an answer resets it."""
        gateway = PlayedGateway()
        gateway.device(lines())
        gateway.accept()
        gateway.received()
        waits = []
        for _ in range(6):
            gateway.answer("ERR unavailable full")
            waits.append(gateway.wait_until(lambda: bool(gateway.received())))
        self.assertLess(waits[0], 0.4)
        self.assertGreater(waits[4], 4.9)
        self.assertLess(waits[5], 8)
        gateway.answer("OK 1")
        gateway.received()
        gateway.answer("ERR unavailable full")
        gateway.reactor.advance(0.4)
        self.assertEqual(gateway.received(), named(2))

    def test_turned_away_at_the_door(self) -> None:
        """A gateway with too many connections says so and hangs up; the line it never read is not lost."""
        gateway = PlayedGateway()
        gateway.device(lines())
        gateway.accept()
        gateway.answer("ERR busy too many connections")
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(1))
        self.assertEqual(gateway.ledger.errors, {})

    def test_a_cut_while_waiting_keeps_all(self) -> None:
        """Lines refused and lines unanswered go out together after the cut, in their order."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=3)
        gateway.accept()
        gateway.received()
        gateway.answer("ERR unavailable full")
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(1, 2, 3))


class Reconnecting(SynchronousTestCase):
    """A gateway that is away, is killed, or hangs."""

    def test_a_refused_dial_is_tried_again(self) -> None:
        """The device outwaits a gateway that is not up yet."""
        gateway = PlayedGateway()
        device = gateway.device(lines())
        for _ in range(12):
            gateway.refuse()
            before = gateway.dials
            gateway.reactor.advance(3.3)
            self.assertEqual(gateway.dials, before + 1)
        gateway.accept()
        self.assertEqual(gateway.received(), named(1))
        self.assertEqual(device.counts.reconnects, 0)

    def test_why_there_is_no_connection(self) -> None:
        """The person at the terminal is told the reason for as long as it holds."""
        gateway = PlayedGateway()
        device = gateway.device(lines())
        self.assertEqual((device.connected, device.trouble), (False, None))
        gateway.refuse()
        self.assertIn("refused", str(device.trouble))
        gateway.redial()
        self.assertEqual((device.connected, device.trouble), (True, None))
        gateway.lose()
        self.assertFalse(device.connected)
        self.assertIn("closed", str(device.trouble))

    def test_refusals_do_not_make_a_busy_loop(self) -> None:
        """There is a pause between two dials, and it grows."""
        gateway = PlayedGateway()
        gateway.device(lines())
        waits = []
        for _ in range(8):
            gateway.refuse()
            refused = gateway.dials
            waits.append(gateway.wait_until(partial(gateway.dialled_after, refused)))
        self.assertGreater(min(waits), 0.1)
        self.assertGreater(min(waits[-2:]), 2.5)

    def test_unanswered_lines_go_out_again_in_order(self) -> None:
        """After a cut nothing is known of them, so none is left out and none passes another."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=4)
        gateway.accept()
        gateway.received()
        gateway.answer("OK 1")
        self.assertEqual(gateway.received(), named(5))
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(2, 3, 4, 5))
        gateway.answer("OK 2", "OK 3", "OK 4", "OK 5")
        self.assertEqual(gateway.received(), named(6, 7, 8, 9))
        self.assertEqual((device.counts.sent, device.counts.resent, device.counts.reconnects), (9, 4, 1))

    def test_half_an_answer_dies_with_its_connection(self) -> None:
        """What came of an answer before the cut is not glued to the first answer after it."""
        gateway = PlayedGateway()
        gateway.device(lines())
        gateway.accept()
        assert gateway.protocol is not None
        gateway.protocol.dataReceived(b"OK 1")
        gateway.lose()
        gateway.redial()
        gateway.answer("OK 2")
        self.assertEqual(gateway.ledger.acked, {"line-1": 2})

    def test_sent_at_is_the_first_sending(self) -> None:
        """The time from the device's line to the document includes every outage on the way."""
        gateway = PlayedGateway()
        gateway.device(lines(1))
        gateway.reactor.advance(2)
        gateway.accept()
        self.assertEqual(gateway.ledger.sent_at, {"line-1": 1_002.0})
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(1))
        self.assertEqual(gateway.ledger.sent_at, {"line-1": 1_002.0})

    def test_a_hanging_gateway_is_cut_off(self) -> None:
        """A connection on which no answer comes in time is as good as none."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=2, answer_timeout=10)
        gateway.accept()
        gateway.received()
        gateway.reactor.advance(9)
        gateway.answer("OK 1")
        gateway.received()
        gateway.reactor.advance(9.5)
        self.assertFalse(gateway.cut_off)
        gateway.reactor.advance(0.5)
        self.assertTrue(gateway.cut_off)
        gateway.answer("OK 2")
        self.assertNotIn("line-2", gateway.ledger.acked, "an answer from a connection given up counts for nothing")
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(2, 3))
        self.assertEqual(device.counts.timeouts, 1)

    def test_the_watch_also_covers_what_was_sent_again(self) -> None:
        """A gateway that hangs after its restart is cut off too."""
        gateway = PlayedGateway()
        gateway.device(lines(1), answer_timeout=10)
        gateway.accept()
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(1))
        gateway.reactor.advance(10)
        self.assertTrue(gateway.cut_off)

    def test_silence_is_right_where_nothing_is_owed(self) -> None:
        """An idle connection is kept."""
        gateway = PlayedGateway()
        gateway.device(lines(1), answer_timeout=10)
        gateway.accept()
        gateway.answer("OK 1")
        gateway.reactor.advance(1_000)
        self.assertFalse(gateway.hung_up)

    def test_an_answer_that_is_none_ends_the_connection(self) -> None:
        """Once one answer is not understood, no later one can be matched to its line."""
        for garbled in ("HTTP/1.1 400 Bad Request", "OK", "OK 1\nOK 2", "x" * 5_000):
            gateway = PlayedGateway()
            gateway.device(lines(1))
            gateway.accept()
            gateway.received()
            gateway.answer(garbled)
            self.assertTrue(gateway.cut_off, garbled)
            acked = dict(gateway.ledger.acked)
            gateway.lose()
            gateway.redial()
            self.assertEqual(gateway.received(), [] if acked else named(1))


class Rate(SynchronousTestCase):
    """Lines a second, on the clock that was passed in."""

    def test_a_steady_rate(self) -> None:
        """Ten lines a second are ten lines a second, from the first on."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=100, rate=10)
        gateway.accept()
        self.assertEqual(gateway.received(), named(1))
        gateway.reactor.pump([0.05] * 20)
        self.assertEqual(gateway.received(), named(*range(2, 12)))

    def test_catching_up_is_bounded(self) -> None:
        """After an hour's outage a second's worth follows at once, not an hour's."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=10_000, rate=10)
        gateway.accept()
        gateway.received()
        gateway.lose()
        gateway.redial(within=3_600)
        self.assertEqual(len(gateway.received()), 1 + 10)

    def test_a_high_rate_sends_in_bundles(self) -> None:
        """Thousands of lines a second do not need thousands of timers."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=100_000, rate=10_000)
        gateway.accept()
        gateway.received()
        calls = 0
        while gateway.reactor.seconds() < 1:
            [call] = [c for c in gateway.reactor.getDelayedCalls() if c.getTime() < 25]
            gateway.reactor.advance(call.getTime() - gateway.reactor.seconds())
            calls += 1
        self.assertLessEqual(calls, 101)
        self.assertAlmostEqual(len(gateway.received()), 10_000, delta=150)

    def test_the_window_comes_before_the_rate(self) -> None:
        """A slow gateway slows the device down, without a timer running in vain."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=1, rate=1_000)
        gateway.accept()
        gateway.reactor.advance(1)
        self.assertEqual(gateway.received(), named(1))
        [watch] = gateway.reactor.getDelayedCalls()
        self.assertEqual(watch.getTime(), 30.0, "only the watch on the answer")

    def test_a_slow_rate_does_not_delay_a_resend(self) -> None:
        """A refused line's turn comes by its own delay, not by the next new line's."""
        gateway = PlayedGateway()
        gateway.device(lines(), window=2, rate=0.01)
        gateway.accept()
        gateway.received()
        gateway.answer("ERR unavailable full")
        gateway.reactor.advance(0.5)
        self.assertEqual(gateway.received(), named(1))


class Stopping(SynchronousTestCase):
    """An end at which it is known what became of each line."""

    def test_stop_waits_for_the_answers(self) -> None:
        """Nothing new is sent, and the connection is closed when the last answer is in."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=2)
        gateway.accept()
        gateway.received()
        stopping = Deferred.fromCoroutine(device.stop(within=10))
        gateway.answer("OK 1")
        self.assertEqual(gateway.received(), [])
        self.assertNoResult(stopping)
        gateway.answer("OK 2")
        self.assertTrue(gateway.hung_up)
        self.assertFalse(gateway.cut_off)
        gateway.lose()
        self.assertEqual(self.successResultOf(stopping), [])
        self.assertEqual(gateway.reactor.getDelayedCalls(), [])

    def test_stop_still_reconnects(self) -> None:
        """A gateway that is restarted meanwhile still gets what it owes an answer for."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=2)
        gateway.accept()
        stopping = Deferred.fromCoroutine(device.stop(within=10))
        gateway.lose()
        gateway.redial()
        self.assertEqual(gateway.received(), named(1, 2))
        gateway.answer("OK 1", "OK 2")
        gateway.lose()
        self.assertEqual(self.successResultOf(stopping), [])

    def test_stop_reports_what_is_unanswered(self) -> None:
        """At the deadline the device gives up, cuts, and names the lines nobody can vouch for."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=3)
        gateway.accept()
        gateway.answer("ERR unavailable full", "OK 2")
        stopping = Deferred.fromCoroutine(device.stop(within=10))
        gateway.reactor.advance(10)
        self.assertTrue(gateway.cut_off)
        gateway.lose()
        self.assertEqual([line.id for line in self.successResultOf(stopping)], ["line-1", "line-3"])
        self.assertEqual(gateway.reactor.getDelayedCalls(), [])

    def test_stop_while_the_gateway_is_away(self) -> None:
        """The deadline holds also where nobody listens, and nothing keeps dialling after it."""
        gateway = PlayedGateway()
        device = gateway.device(lines(), window=2)
        gateway.accept()
        gateway.lose()
        stopping = Deferred.fromCoroutine(device.stop(within=1))
        for _ in range(4):
            gateway.reactor.advance(0.5)
            if gateway.reactor.getDelayedCalls():
                gateway.refuse()
        self.assertEqual(len(self.successResultOf(stopping)), 2)
        self.assertEqual(gateway.reactor.getDelayedCalls(), [])

    def test_stop_before_any_connection(self) -> None:
        """With nothing sent there is nothing to wait for."""
        gateway = PlayedGateway()
        device = gateway.device(lines())
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(device.stop(within=10))), [])
        self.assertEqual(gateway.reactor.getDelayedCalls(), [])

    def test_a_peer_that_will_not_close_is_cut_off(self) -> None:
        """A clean close may take two seconds and no longer."""
        gateway = PlayedGateway()
        device = gateway.device(lines(1))
        gateway.accept()
        gateway.answer("OK 1")
        stopping = Deferred.fromCoroutine(device.stop(within=10))
        self.assertFalse(gateway.cut_off)
        gateway.reactor.advance(2)
        self.assertTrue(gateway.cut_off)
        gateway.lose()
        self.successResultOf(stopping)

    def test_a_ledger_that_fails_ends_the_device(self) -> None:
        """A line that cannot be recorded is not sent: a proof would miss it."""

        class FullDisk(MemoryLedger):
            def on_sent(self, line: Line, sent_at: float) -> None:
                if line.id == "line-2":
                    raise OSError(28, "No space left on device")
                super().on_sent(line, sent_at)

        gateway = PlayedGateway()
        gateway.ledger = FullDisk()
        device = gateway.device(lines(), window=1)
        finished = Deferred.fromCoroutine(device.finished())
        gateway.accept()
        gateway.answer("OK 1")
        self.assertEqual(gateway.received(), named(1))
        self.failureResultOf(finished, OSError)
        self.assertTrue(gateway.cut_off)
        gateway.lose()
        gateway.reactor.advance(100)
        self.assertEqual(gateway.dials, 1)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(device.stop(within=1))), [])

    def test_settings_that_make_no_sense(self) -> None:
        """They are refused with a line that says why."""
        gateway = PlayedGateway()
        with pytest.raises(ValueError, match="window of 0"):
            gateway.device(lines(), window=0)
        with pytest.raises(ValueError, match="rate of 0"):
            gateway.device(lines(), rate=0)
        with pytest.raises(ValueError, match="time-out of 0"):
            gateway.device(lines(), answer_timeout=0)


class Chaos(SynchronousTestCase):
    """Any mixture of answers, refusals, cuts and silence."""

    @given(
        window=st.integers(1, 6),
        moves=st.lists(
            st.sampled_from(["ok", "ok", "ok", "again", "dead", "store", "cut", "hang", "wait"]), max_size=80
        ),
    )
    def test_no_line_is_lost_or_passed_over(self, window: int, moves: list[str]) -> None:
        """Every line has one answer in the end: the first sequence it was stored under, or its error."""
        gateway = PlayedGateway()
        device = gateway.device(lines(30), window=window, answer_timeout=10)
        stored: dict[bytes, int] = {}
        dead: set[bytes] = set()
        waiting: list[bytes] = []
        gateway.accept()

        def store(line: bytes) -> int:
            return stored.setdefault(line, len(stored) + 1)

        for move in [*moves, "cut", *["ok", "wait"] * 120]:
            waiting += gateway.received()
            assert len(waiting) <= window
            if move in {"ok", "again", "dead"} and waiting:
                line = waiting.pop(0)
                if line in dead or (move == "dead" and line not in stored):
                    dead.add(line)
                    gateway.answer("ERR json no")
                elif move == "again":
                    gateway.answer("ERR unavailable full")
                else:
                    gateway.answer(f"OK {store(line)}")
            elif move == "store" and waiting:
                store(waiting[0]) if waiting[0] not in dead else None
                self._again(gateway, waiting)
            elif move == "hang" and waiting:
                gateway.reactor.advance(10)
                assert gateway.cut_off
                self._again(gateway, waiting)
            elif move == "cut":
                self._again(gateway, waiting)
            elif move == "wait":
                gateway.reactor.advance(8)
        self.successResultOf(Deferred.fromCoroutine(device.finished()))
        ids = [f"line-{n}" for n in range(1, 31)]
        assert sorted(gateway.ledger.answered) == sorted(ids), "each line exactly one answer"
        assert gateway.ledger.acked == {line.decode(): Seq(seq) for line, seq in stored.items()}
        assert set(gateway.ledger.errors) == {line.decode() for line in dead}
        if window == 1:
            assert gateway.ledger.answered == ids
            assert list(stored) == [i.encode() for i in ids if i.encode() in stored]

    def _again(self, gateway: PlayedGateway, waiting: list[bytes]) -> None:
        waiting.clear()
        gateway.lose()
        gateway.redial()
