"""One run of simulated devices, from a plan to a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from lineside.testing.devices import LineDevice
from lineside.testing.fleet import Device, Fleet, TimedLedger
from lineside.testing.ledger import Ledger, Line
from lineside.testing.samples import share
from lineside.testing.silent import SilentDevice
from lineside.testing.speech import AS_LINES, Speech
from lineside.testing.workload import checkins, counts, new_run

GRACE = 10.0
"""Seconds that answers still owed are waited for at the end; a second Ctrl-C ends the wait."""


class Plan(Struct, frozen=True):
    """What to simulate."""

    kind: str
    devices: int = 1
    rate: float | None = None
    """Lines a second of each device; None: as fast as the answers come."""
    window: int = 1
    count: int | None = None
    """Lines of all devices together; None: no end."""
    seconds: float | None = None
    answer_timeout: float = 30.0


def workload_of(plan: Plan, run: str, number: int) -> Iterator[Line]:
    """Return what one of a plan's devices has to say, without end, as JSON."""
    random = Random()  # noqa: S311 - believable, not secret
    if plan.kind == "scanner":
        return checkins(random, run, number, devices=plan.devices)
    return counts(random, run, number)


class Played(Struct, frozen=True):
    """As what a source knows its devices."""

    speech: Speech
    lines: Callable[[Plan, str, int], Iterator[Line]]
    """Returns the lines, without end or as many as there are, of a run's device, counted from 0."""


AS_PLANNED = Played(AS_LINES, workload_of)
"""JSON lines, each with its answer."""


class Status(Struct, frozen=True):
    """How it stands."""

    answered: bool
    """Lines have answers."""

    seconds: float
    devices: int
    connected: int
    sent: int
    acked: int
    errors: int
    unavailable: int
    resent: int
    reconnects: int
    commands: int
    trouble: str | None


class Summary(Struct, frozen=True):
    """How it ended."""

    device: str
    devices: int
    answered: bool
    """Lines have answers; without, nobody knows what became of those that were sent."""
    seconds: float
    sent: int
    acked: int
    per_second: float
    """Acknowledged; sent, where there are no answers."""
    errors: int
    unavailable: int
    resent: int
    reconnects: int
    unanswered: int
    commands: int
    """Commands that came, replied to or not."""
    p50_ms: float | None
    """From a line's first sending to its acknowledgement."""
    p99_ms: float | None
    trouble: str | None


class Simulation:
    """One run of a plan. Ends by the plan or by `end`; everything happens on the reactor's thread."""

    def __init__(
        self,
        reactor: IReactorTime,
        endpoint: IStreamClientEndpoint,
        plan: Plan,
        record: Ledger | None = None,
        played: Played = AS_PLANNED,
    ) -> None:
        self._answered = played.speech.answered
        self._reactor = reactor
        self._plan = plan
        self._ledger = TimedLedger(record)
        run = new_run()
        self._fleet = Fleet(
            reactor,
            [self._device(endpoint, played, run, number) for number in range(plan.devices)],
        )
        self._began = reactor.seconds()
        self._ended: Deferred[None] = Deferred()
        self._failure: Failure | None = None
        self._stopping: Deferred[list[Line]] | None = None

    def _device(self, endpoint: IStreamClientEndpoint, played: Played, run: str, number: int) -> Device:
        plan = self._plan
        lines = share(played.lines(plan, run, number), plan.count, number, plan.devices)
        name = f"{plan.kind}-{number}"
        if not played.speech.answered:
            return SilentDevice(
                self._reactor, endpoint, lines, self._ledger, played.speech, name=name, rate=plan.rate
            )
        return LineDevice(
            self._reactor,
            endpoint,
            lines,
            self._ledger,
            name=name,
            window=plan.window,
            rate=plan.rate,
            answer_timeout=plan.answer_timeout,
            speech=played.speech,
        )

    def status(self) -> Status:
        """Return how it stands now."""
        fleet, done = self._fleet, self._fleet.counts
        return Status(
            answered=self._answered,
            seconds=self._reactor.seconds() - self._began,
            devices=fleet.size,
            connected=fleet.connected,
            sent=done.sent,
            acked=done.acked,
            errors=done.errors,
            unavailable=done.unavailable,
            resent=done.resent,
            reconnects=done.reconnects,
            commands=done.commands,
            trouble=fleet.trouble,
        )

    def end(self) -> None:
        """End the run: the first time by waiting for what is owed, the second time at once."""
        if not self._ended.called:
            self._ended.callback(None)
        elif self._stopping is not None:
            self._stopping.cancel()

    async def run(self, show: Callable[[Status], None], every: float) -> Summary:
        """Run to the end, calling ``show`` every so many seconds.

        Raises:
            Exception: what made a device fail, or ``show``.

        """
        self._began = self._reactor.seconds()
        showing = LoopingCall(lambda: show(self.status()))
        showing.clock = self._reactor
        showing.start(every, now=False).addErrback(self._failed)
        due = None if self._plan.seconds is None else self._reactor.callLater(self._plan.seconds, self.end)
        Deferred.fromCoroutine(self._fleet.finished()).addCallbacks(self._finished, self._failed)
        self._fleet.start(spread=1 / self._plan.rate if self._plan.rate else 0.0)
        try:
            await self._ended
            trouble = self._fleet.trouble
            self._stopping = Deferred.fromCoroutine(self._fleet.stop(within=0.0 if self._failure else GRACE))
            try:
                unanswered = await self._stopping
            except CancelledError:  # by `end`, which was called again
                unanswered = self._fleet.unanswered
        finally:
            if due is not None and due.active():
                due.cancel()
            if showing.running:
                showing.stop()
        if self._failure is not None:
            self._failure.raiseException()
        return self._summary(len(unanswered), trouble)

    def _finished(self, _: None) -> None:
        if not self._ended.called:
            self._ended.callback(None)

    def _failed(self, failure: Failure) -> None:
        if not self._ended.called:
            self._failure = failure
            self._ended.callback(None)

    def _summary(self, unanswered: int, trouble: str | None) -> Summary:
        last = self.status()
        done = last.acked if last.answered else last.sent
        p50, p99 = (self._ledger.latencies.percentile(percent) for percent in (50, 99))
        return Summary(
            device=self._plan.kind,
            devices=last.devices,
            answered=last.answered,
            seconds=round(last.seconds, 3),
            sent=last.sent,
            acked=last.acked,
            per_second=round(done / last.seconds, 1) if last.seconds else 0.0,
            errors=last.errors,
            unavailable=last.unavailable,
            resent=last.resent,
            reconnects=last.reconnects,
            unanswered=unanswered,
            commands=last.commands,
            p50_ms=None if p50 is None else round(1000 * p50, 2),
            p99_ms=None if p99 is None else round(1000 * p99, 2),
            trouble=trouble,
        )
