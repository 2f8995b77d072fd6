"""Parts start in order and stop in reverse, whatever happens in between."""

from __future__ import annotations

import resource
import time

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.lifecycle import System, allow_many_connections, follow_monotonic_clock
from lineside.model.errors import LinesideError


class RecordedPart:
    """Writes down what it is told to do, in a list that several parts share."""

    def __init__(
        self,
        name: str,
        told: list[str],
        *,
        fails: Exception | None = None,
        slow: bool = False,
        stubborn: bool = False,
    ) -> None:
        self.name = name
        self._told = told
        self._fails = fails
        self.starting: Deferred[None] | None = Deferred() if slow else None
        self.stopping: Deferred[None] | None = Deferred() if stubborn else None

    async def start(self) -> None:
        self._told.append(f"start {self.name}")
        if self.starting is not None:
            await self.starting
        if self._fails is not None:
            raise self._fails

    async def stop(self) -> None:
        self._told.append(f"stop {self.name}")
        if self.stopping is not None:
            await self.stopping
        if self._fails is not None:
            raise self._fails


class SystemTests(SynchronousTestCase):
    """Start and stop."""

    def setUp(self) -> None:
        self.told: list[str] = []

    def test_parts_stop_in_reverse(self) -> None:
        """What started last lets go first."""
        system = System([[RecordedPart(name, self.told)] for name in ("store", "journal", "gate")])
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(system.start())))
        self.successResultOf(Deferred.fromCoroutine(system.stop()))
        self.assertEqual(
            ["start store", "start journal", "start gate", "stop gate", "stop journal", "stop store"], self.told
        )

    def test_a_part_that_cannot_start_stops_what_had(self) -> None:
        """A busy port leaves nothing running, and its error goes on."""
        busy = LinesideError("the port is in use")
        gates = [RecordedPart("gate", self.told), RecordedPart("door", self.told, fails=busy)]
        system = System([[RecordedPart("store", self.told)], [*gates, RecordedPart("scale", self.told)]])
        failure = self.failureResultOf(Deferred.fromCoroutine(system.start()))
        self.assertIs(busy, failure.value)
        self.assertEqual(["start store", "start gate", "start door", "stop gate", "stop store"], self.told)

    def test_the_parts_of_one_stage_stop_together(self) -> None:
        """Ten routes that hang take the time of one, and what they rest on stays until the last of them is done."""
        routes = [RecordedPart(name, self.told, stubborn=True) for name in ("one", "other")]
        system = System([[RecordedPart("store", self.told)], [*routes]])
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(system.start())))
        self.assertEqual(["start store", "start one", "start other"], self.told)
        del self.told[:]
        stopping = Deferred.fromCoroutine(system.stop())
        self.assertEqual(["stop one", "stop other"], self.told)
        one, other = (route.stopping for route in routes)
        assert one is not None
        assert other is not None
        other.callback(None)
        self.assertEqual(["stop one", "stop other"], self.told)
        one.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(["stop one", "stop other", "stop store"], self.told)

    def test_a_part_that_cannot_stop_keeps_no_other(self) -> None:
        """One part's failure to stop is logged, and the others stop all the same, beside it and below it."""
        broken = RecordedPart("one", self.told)
        system = System([[RecordedPart("store", self.told)], [broken, RecordedPart("other", self.told)]])
        self.successResultOf(Deferred.fromCoroutine(system.start()))
        broken._fails = ValueError("broken")
        self.successResultOf(Deferred.fromCoroutine(system.stop()))
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual(["stop one", "stop other", "stop store"], self.told[3:])

    def test_a_stop_while_starting_starts_nothing_more(self) -> None:
        """SIGTERM during the start: the part that is starting finishes, is stopped, and no further one starts."""
        slow = RecordedPart("erp", self.told, slow=True)
        system = System(
            [
                [RecordedPart("store", self.told)],
                [slow, RecordedPart("other erp", self.told)],
                [RecordedPart("gate", self.told)],
            ]
        )
        starting = Deferred.fromCoroutine(system.start())
        stopping = Deferred.fromCoroutine(system.stop())
        assert slow.starting is not None
        slow.starting.callback(None)
        self.assertFalse(self.successResultOf(starting), "a gateway that stops must not say that it is ready")
        self.successResultOf(stopping)
        self.assertEqual(["start store", "start erp", "stop erp", "stop store"], self.told)

    def test_as_many_connections_as_the_system_allows(self) -> None:
        """The gateway may open as many files as its hard limit says, whatever the soft one is."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        allow_many_connections()
        self.assertEqual((hard, hard), resource.getrlimit(resource.RLIMIT_NOFILE))

    def test_timers_follow_the_monotonic_clock(self) -> None:
        """Setting the wall clock moves no timer."""
        reactor = Clock()
        follow_monotonic_clock(reactor)
        self.assertIs(time.monotonic, reactor.seconds)
