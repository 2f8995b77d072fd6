"""Carries one route's records to its target: pull, render, deliver, settle."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.delivery.alterations import Alterations
from lineside.delivery.backoff import Backoff
from lineside.delivery.gate import BLOCKED_FOR, Gate
from lineside.delivery.route import Route
from lineside.delivery.suspects import Suspects
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Consumer, Delivery, Pending, Ready
from lineside.model.rates import Rate
from lineside.wakeup import Wakeup

log = Logger()

DRAIN = 10.0
"""Seconds that deliveries under way get when the gateway stops; the rest is delivered after the next start."""
STUMBLED = 1.0
"""Seconds before what the journal's disk refused is tried again."""


class Courier:
    """The `Part` that works one route off, for as long as the gateway runs.

    Up to ``route.concurrency`` records are under way at a time, of each order key one. Outcomes are
    stored together while an earlier commit is under way.
    """

    def __init__(
        self,
        route: Route,
        consumer: Consumer,
        gate: Gate,
        clock: IReactorTime,
        random: Random,
        *,
        backoff: Backoff,
    ) -> None:
        self.name = f"route {route.id}"
        self.route = route
        self.consumer = consumer
        self.gate = gate
        self._clock = clock
        self._random = random
        self._backoff = backoff
        self._loops = Background(self.name)
        self._deliveries = Background(self.name)
        self._wakeup = Wakeup()
        self._decided = Wakeup()
        self._outcomes: list[tuple[Pending, Outcome]] = []
        self._waiting: list[list[tuple[Pending, Delivery]]] = []
        self._suspects = Suspects()
        self._blocked: Blocked | None = None
        self._was_blocked = False
        self._paused = False
        self._resumed = Wakeup()
        self.delivered = 0
        self.rate = Rate(clock.seconds())
        """Of what is delivered."""
        self.refused = 0
        self.retried = 0
        self.alterations = Alterations()
        self.on_settled: list[Callable[[list[tuple[Pending, Outcome]]], None]] = []
        """Each is called with what was settled, once that is stored. Must not raise."""

    @property
    def paused(self) -> bool:
        """Whether a person stopped the route, or all that goes to its target."""
        return self._paused or self.gate.paused

    def pause(self, paused: bool) -> None:
        """Deliver nothing more once what is under way is finished, or deliver again; also before `start`."""
        self._paused = paused
        self.go_on()

    def go_on(self) -> None:
        """Look again whether the route is paused: its target's pause began or ended."""
        self._resumed.set()

    @property
    def problem(self) -> TargetDown | Blocked | None:
        """Why nothing is delivered at present; None while the route works."""
        return self._blocked or self.gate.problem

    async def start(self) -> None:
        """Take up the route where it was left, and begin to deliver."""
        await self.consumer.open()
        self.consumer.on_ready(self._wakeup.set)
        self._loops.run("deliver", self._deliver_all())
        self._loops.run("settle", self._settle_all())

    async def stop(self) -> None:
        """Stop pulling, give what is under way `DRAIN` seconds, store every outcome."""
        self._loops.cancel()
        await self._loops.finish()
        late = self._clock.callLater(DRAIN, self._deliveries.cancel)
        await self._deliveries.finish()
        if late.active():
            late.cancel()
        try:
            await self.consumer.settle(self._take_outcomes())
            await self.consumer.close()
        except Exception:  # noqa: BLE001 (the records stay owed and are found at the target after the next start)
            log.failure("settle.failed", route=self.route.id)

    async def _deliver_all(self) -> None:
        while True:
            try:
                await self._deliver_some()
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 (a disk that cannot be read, say: the route must outlive it)
                log.failure("route.stumbled", route=self.route.id, again_in=STUMBLED)
                await deferLater(self._clock, STUMBLED)

    async def _deliver_some(self) -> None:
        if self._blocked is not None:
            await deferLater(self._clock, BLOCKED_FOR)
            self._blocked = None
            self._was_blocked = True
        ready = await self.gate.passed()
        while self.paused:
            await self._resumed.wait()
        self._start_waiting()
        room = self.route.concurrency - len(self._deliveries)
        pulled = await self.consumer.pull(room * self.route.batch) if room > 0 else []
        batch = []
        for pending in pulled:
            rendered = self._render(pending, ready)
            if isinstance(rendered, Delivery):
                batch.append((pending, rendered))
            else:
                self._decide(pending, rendered)
        if len(batch) < len(pulled):
            self._decided.set()
        self._waiting += _batches(batch, self.route.batch)
        self._start_waiting()
        if not pulled:
            await self._wakeup.wait()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._deliveries) < self.route.concurrency:
            ended = self._deliveries.run("deliver", self._deliver(self._waiting.pop(0)))
            # Only now is there room for another one.
            ended.addCallback(lambda _: self._wakeup.set())

    def _render(self, pending: Pending, ready: Ready) -> Delivery | Outcome:
        try:
            return self.route.render(pending, ready)
        except Exception as failed:  # noqa: BLE001 (a bug must not leave the record handed out for ever)
            log.failure("render.failed", route=self.route.id, record=pending.record.identity)
            return Retry(f"{type(failed).__name__} while rendering")

    async def _deliver(self, batch: list[tuple[Pending, Delivery]]) -> None:
        pendings = [pending for pending, _ in batch]
        try:
            outcomes = await self.gate.deliver([delivery for _, delivery in batch])
            decided = list(zip(pendings, outcomes, strict=True))
        except CancelledError:
            # The records stay owed, and nobody is to blame.
            self._outcomes += [(pending, TargetDown("the gateway stops")) for pending in pendings]
            raise
        except Exception as failed:  # noqa: BLE001 (a bug in the target counts as a failure of the records)
            log.failure("deliver.failed", route=self.route.id)
            retry = Retry(f"{type(failed).__name__}: {failed}", ambiguous=True)
            decided = [(pending, retry) for pending in pendings]
        for pending, outcome in decided:
            self._decide(pending, outcome)
        # Once for all of them: what is set free goes on at once, and would store the first one alone.
        self._decided.set()

    def _decide(self, pending: Pending, outcome: Outcome) -> None:
        facts = {"route": self.route.id, "record": pending.record.identity}
        match outcome:
            case TargetDown(sent=True) | Blocked():
                outcome = self._suspects.turned_away(pending.record.seq, outcome)
            case Delivered() | Refused():
                self._suspects.decided(pending.record.seq)
        match outcome:
            case Retry():
                self.retried += 1
                if outcome.after is None:
                    after = self._backoff.delay(pending.attempt, self._random)
                    outcome = msgspec.structs.replace(outcome, after=after)
                log.info("delivery.retry", attempt=pending.attempt, after=round(outcome.after or 0, 1), **facts)
            case Blocked(reason=reason, remedy=remedy):
                if self._blocked is None:
                    log.error("route.blocked", reason=reason, remedy=remedy, **facts)
                self._blocked = outcome
            case Refused(code=code):
                # The reason quotes the ERP, which quotes the payload: it is in the dead letter.
                self.refused += 1
                log.warn("delivery.refused", code=code, **facts)
            case Delivered():
                self.delivered += 1
                self.rate.add(self._clock.seconds(), 1)
                if outcome.altered:
                    self._alarm(outcome, facts)
                if self._was_blocked:
                    self._was_blocked = False
                    log.info("route.unblocked", route=self.route.id)
            case _:
                pass
        self._outcomes.append((pending, outcome))

    def _alarm(self, delivered: Delivered, facts: dict[str, str]) -> None:
        for altered in self.alterations.note(delivered.altered, self._clock.seconds()):
            log.error(
                "delivery.altered", document=delivered.name, field=altered.field, remedy=altered.remedy, **facts
            )

    async def _settle_all(self) -> None:
        untold: list[tuple[Pending, Outcome]] = []
        while True:
            await self._decided.wait()
            try:
                outcomes = self._take_outcomes()
                untold += outcomes
                await self.consumer.settle(outcomes)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 (a full disk, say: the consumer keeps them for the next call)
                log.failure("settle.failed", route=self.route.id, again_in=STUMBLED)
                await deferLater(self._clock, STUMBLED)
                self._decided.set()
            else:
                settled, untold = untold, []
                for tell in self.on_settled:
                    tell(settled)

    def _take_outcomes(self) -> list[tuple[Pending, Outcome]]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes


def _batches(ready: list[tuple[Pending, Delivery]], size: int) -> list[list[tuple[Pending, Delivery]]]:
    """Return what goes to the target together: what is new, then, apart from it, what was sent before.

    The target looks for the latter first, and a look-up without an answer holds all that go with it.
    """
    apart = (
        [each for each in ready if not each[1].redelivered],
        [each for each in ready if each[1].redelivered],
    )
    return [some[start : start + size] for some in apart for start in range(0, len(some), size)]
