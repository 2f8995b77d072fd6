"""A supervisor is told what it asked to be told, in datagrams of sd_notify(3)."""

from __future__ import annotations

import errno
import os

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.systemd.notify import AGAIN, LONGEST_STATUS, UNSUPERVISED, Supervision, Supervisor, supervision


class Listener:
    """Takes datagrams, or fails to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fails: OSError | None = None

    def __call__(self, datagram: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.heard.append(datagram.decode())


class TheEnvironment(SynchronousTestCase):
    """Who supervises, and what it wants."""

    def test_nobody(self) -> None:
        """Without an address nothing is sent, whatever else the environment says."""
        self.assertEqual(UNSUPERVISED, supervision({"WATCHDOG_USEC": "1000000"}, 7))
        self.assertEqual(UNSUPERVISED, supervision({"NOTIFY_SOCKET": ""}, 7))

    def test_somebody_with_a_watchdog(self) -> None:
        """The watchdog's microseconds are seconds here."""
        environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "7"}
        self.assertEqual(Supervision("/run/notify", 180.0), supervision(environ, 7))

    def test_a_watchdog_for_another_process(self) -> None:
        """A wrapper that keeps the watchdog to itself is not spoken for."""
        environ = {"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "8"}
        self.assertEqual(Supervision("@notify", None), supervision(environ, 7))

    def test_no_watchdog(self) -> None:
        """Zero, nothing and nonsense are no watchdog."""
        for wanted in ("0", "", "soon"):
            environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": wanted}
            self.assertEqual(Supervision("/run/notify", None), supervision(environ, 7), wanted)

    def test_an_address_of_another_kind(self) -> None:
        """A virtual machine's address, or nonsense, is logged; the gateway runs without."""
        addresses = ["vsock:2:1234", "@", "run/notify"]
        with capturedLogs() as events:
            for address in addresses:
                self.assertEqual(UNSUPERVISED, supervision({"NOTIFY_SOCKET": address}, 7))
        self.assertEqual(
            addresses,
            [event["address"] for event in events if event["log_format"] == "supervisor.unreachable"],
        )


class Telling(SynchronousTestCase):
    """What arrives."""

    def setUp(self) -> None:
        self.listener, self.clock = Listener(), Clock()
        self.supervisor = Supervisor(self.listener, self.clock)

    def test_what_is_told_together_arrives_together(self) -> None:
        """One call is one datagram of lines."""
        self.supervisor.tell(READY="1", STATUS="works")
        self.assertEqual(["READY=1\nSTATUS=works\n"], self.listener.heard)

    def test_others_words_stay_within_their_line(self) -> None:
        """A line end in the ERP's own words begins no assignment of theirs, and their length is bounded."""
        self.supervisor.tell(STATUS="refused\nSTOPPING=1\x00" + "x" * 5000)
        (datagram,) = self.listener.heard
        self.assertTrue(datagram.startswith("STATUS=refused STOPPING=1 xxx"), datagram)
        self.assertEqual((1, True), (datagram.count("\n"), datagram.endswith("…\n")))
        self.assertEqual(len("STATUS=\n") + LONGEST_STATUS, len(datagram))

    def test_a_full_queue_delays_but_loses_nothing(self) -> None:
        """READY=1 must arrive, or the service never counts as started; of two states the last one counts."""
        self.listener.fails = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.supervisor.tell(READY="1", STATUS="starts")
        self.supervisor.tell(STATUS="works")
        self.clock.advance(AGAIN)
        self.listener.fails = None
        self.assertEqual([], self.listener.heard)
        self.clock.advance(AGAIN)
        self.assertEqual(["READY=1\nSTATUS=works\n"], self.listener.heard)
        self.clock.advance(10 * AGAIN)
        self.assertEqual(1, len(self.listener.heard))

    def test_nobody_there_is_logged_once(self) -> None:
        """A supervisor that is gone hinders nothing, fills no log, and is told again when it is back."""
        self.listener.fails = FileNotFoundError(errno.ENOENT, "No such file or directory")
        with capturedLogs() as events:
            for _ in range(3):
                self.supervisor.tell(WATCHDOG="1")
        (event,) = events
        self.assertEqual(
            ("supervisor.unreachable", "No such file or directory"), (event["log_format"], event["reason"])
        )
        self.listener.fails = None
        self.supervisor.tell(STATUS="works")
        self.assertEqual(["STATUS=works\n"], self.listener.heard)
        self.assertEqual([], self.clock.getDelayedCalls())
