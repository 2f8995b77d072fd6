"""What a supervisor shows of a gateway."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.systemd.notify import Supervisor
from lineside.edges.systemd.readiness import REFRESH, Readiness, status_line
from lineside.operations.results import RouteStatus, SourceStatus


def source(name: str, connections: int) -> SourceStatus:
    return SourceStatus(name, "0.0.0.0:7001", connections, 0, 0)


def route(name: str, target: str, problem: str | None = None) -> RouteStatus:
    return RouteStatus(name, target, 0, 0, 0, 0, 0, problem)


class TheLine(SynchronousTestCase):
    """A gateway in one line."""

    def test_all_is_well(self) -> None:
        """It counts, in plain words."""
        self.assertEqual(
            "1 source with 1 connection; 1 of 1 route free to deliver",
            status_line([source("gate", 1)], [route("checkin", "erp")]),
        )

    def test_a_target_that_is_down(self) -> None:
        """What hinders several routes is told once, with their names."""
        self.assertEqual(
            "2 sources with 5 connections; 1 of 3 routes free to deliver; checkin, count held up by erp: refused",
            status_line(
                [source("gate", 2), source("scale", 3)],
                [route("checkin", "erp", "refused"), route("count", "erp", "refused"), route("note", "other")],
            ),
        )


class WhatIsTold(SynchronousTestCase):
    """When it is told."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.heard: list[str] = []
        self.status = "1 source"
        supervisor = Supervisor(lambda datagram: self.heard.append(datagram.decode()), self.clock)
        self.readiness = Readiness(supervisor, lambda: self.status, self.clock)

    def test_ready_changes_and_the_end(self) -> None:
        """Ready once, the status only when it differs, and the end before anything stops."""
        self.successResultOf(Deferred.fromCoroutine(self.readiness.start()))
        self.assertEqual(["READY=1\nSTATUS=1 source\n"], self.heard)
        self.clock.pump([REFRESH] * 100)
        self.assertEqual(1, len(self.heard))
        self.status = "2 sources"
        self.clock.pump([REFRESH] * 2)
        self.assertEqual(["STATUS=2 sources\n"], self.heard[1:])
        self.successResultOf(Deferred.fromCoroutine(self.readiness.stop()))
        self.assertTrue(self.heard[2].startswith("STOPPING=1\nSTATUS=stops"), self.heard[2])
        self.status = "none"
        self.clock.pump([REFRESH] * 2)
        self.assertEqual(3, len(self.heard))
