"""Whether a target takes deliveries at present; shared by all routes that lead to it."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.delivery.backoff import Backoff
from lineside.delivery.budget import Budget
from lineside.delivery.pacing import Pacing
from lineside.delivery.slots import Slots
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import Delivery, Ready, Target
from lineside.model.rates import Delays

log = Logger()

DOWN = Backoff((0.5, 1.0, 2.0, 5.0, 10.0, 30.0), jitter=0.2)
"""Seconds between two probes of a target that is down and named no time itself."""
BLOCKED_FOR = 60.0
"""Seconds between two probes of a target that turned the gateway away."""
LOST = 3
"""So many deliveries in a row must get no answer before the target is taken to be down. One that says so, or that
takes no connection, is believed at once."""


class Gate:
    """Open while the target answers; closed when it does not, and opened again by a probe that succeeds.

    Args:
        name: the target's, for the log.
        concurrency: how many deliveries may be under way at a time at most, over all routes; how many really
            are follows what the target bears.
        budget: what its rate limit leaves, where it has one.

    """

    def __init__(
        self,
        name: str,
        target: Target,
        clock: IReactorTime,
        random: Random,
        *,
        concurrency: int,
        budget: Budget | None = None,
    ) -> None:
        self.name = name
        self._target = target
        self._budget = budget
        self._pacing = Pacing(concurrency, clock.seconds())
        self._slots = Slots(self._pacing.limit)
        self._clock = clock
        self._random = random
        self._ready: Ready | None = None
        self._failures = 0
        self._lost = 0
        self._rest = 0.0
        self._probing = DeferredLock()
        self._problem: TargetDown | Blocked | None = None
        self.paused = False
        """A person stopped all that goes to the target. Couriers look; who changes it calls `Courier.go_on`."""
        self.latency = Delays()
        """How long the target took to answer deliveries."""

    @property
    def ready(self) -> bool:
        """Whether it is open."""
        return self._ready is not None

    @property
    def under_way(self) -> int:
        """How many deliveries, or batches of them, are with the target."""
        return self._slots.taken

    @property
    def limit(self) -> int:
        """How many may be with it at a time."""
        return self._slots.limit

    @property
    def problem(self) -> TargetDown | Blocked | None:
        """Why it is closed; None while it is open or was not tried yet."""
        return self._problem

    @property
    def paced(self) -> str | None:
        """How the target's rate limit holds deliveries back at present, for a person; None while it does not."""
        return None if self._budget is None else self._budget.slowed(self._clock.seconds())

    async def passed(self) -> Ready:
        """Return once the target answers: at once while the gate is open."""
        if self._ready is not None:
            return self._ready
        await self._probing.acquire()
        try:
            while self._ready is None:
                if self._rest:
                    await deferLater(self._clock, self._rest)
                answer = await self._target.probe()
                if isinstance(answer, Ready):
                    self._open(answer)
                else:
                    self._close(answer)
            return self._ready
        finally:
            self._probing.release()

    def shut(self, why: TargetDown) -> None:
        """Close it, as somebody else who asks the target has found it down; the next probe tells."""
        if self._ready is not None:
            self._close(why)

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        """Carry out deliveries as `Target.deliver` does, once there is a place for them.

        If the gate is closed by then they are not sent: each is `TargetDown`.
        """
        await self._slots.acquire()
        try:
            if self._problem is not None:
                return [TargetDown(self._problem.reason, sent=False)] * len(batch)
            began = self._clock.seconds()
            outcomes = await self._target.deliver(batch)
            self.latency.add(self._clock.seconds(), self._clock.seconds() - began, len(batch))
            # Before the place is given to the next one, which would meet the same trouble.
            self._learn(outcomes)
            return outcomes
        finally:
            self._slots.release()

    def _learn(self, outcomes: list[Outcome]) -> None:
        decided = sum(isinstance(outcome, Delivered | Refused | Retry) for outcome in outcomes)
        if decided:
            self._failures = self._lost = 0
            # Held back by a rate limit, more at a time would do no more, and fewer no less.
            saturated = self._slots.taken >= self._slots.limit and self.paced is None
            self._pacing.answered(decided, self._clock.seconds(), saturated=saturated)
        down = next((outcome for outcome in outcomes if isinstance(outcome, TargetDown)), None)
        if down is not None and self._ready is not None:
            self._lost += 1
            if down.certain or self._lost >= LOST:
                self._pacing.failed(self._clock.seconds())
                self._close(down)
        self._slots.limit = self._pacing.limit

    def _open(self, ready: Ready) -> None:
        if self._problem is not None:
            log.info("target.up", target=self.name)
        self._ready = ready
        self._problem = None
        self._lost = 0
        # What answers a probe may still fail at each delivery, so not all is forgiven; but a site that stumbles
        # often must not be left alone for longer and longer.
        self._failures = (min(self._failures, len(DOWN.steps)) + 1) // 2
        self._rest = 0.0

    def _close(self, why: TargetDown | Blocked) -> None:
        self._ready = None
        self._failures += 1
        first = type(why) is not type(self._problem)
        self._problem = why
        if isinstance(why, Blocked):
            self._rest = BLOCKED_FOR
            if first:
                log.error("target.blocked", target=self.name, reason=why.reason, remedy=why.remedy)
            return
        # "Retry-After: 0" must not become a loop that never rests.
        if why.after is None:
            self._rest = DOWN.delay(self._failures, self._random)
        else:
            self._rest = max(why.after, DOWN.steps[0])
        if first:
            log.warn("target.down", target=self.name, reason=why.reason, again_in=round(self._rest, 1))
