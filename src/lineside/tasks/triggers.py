"""Events that start runs: a durable place in the journal, from which each event asks for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lineside.background import Background
from lineside.model.event import Record
from lineside.model.outcome import Delivered, Outcome, Refused, Skipped
from lineside.model.ports import Consumer, Pending
from lineside.tasks.runner import Runner, WrongParameters
from lineside.tasks.runs import Asked
from lineside.wakeup import Wakeup

log = Logger()

AT_ONCE = 100
"""Events that are taken at a time."""
STUMBLED = 5.0
"""Seconds of rest after a failure of the disk."""
ENOUGH = 1_000
"""Runs of the task that wait at most; further events stay in the journal until there are fewer."""


class Trigger:
    """The `Part` that lets events of the journal start a task.

    Each event asks for one run, whatever crashes in between: the run's occasion is the event.

    Args:
        task: the task's name.
        consumer: the place in the journal.
        read: tells whether an event starts a run: it is `Skipped` where not, `Refused` where that cannot be told.
        runner: asks for the runs.
        clock: measures rests.

    """

    def __init__(
        self,
        task: str,
        consumer: Consumer,
        read: Callable[[Pending], object],
        runner: Runner,
        clock: IReactorTime,
    ) -> None:
        self.name = f"trigger of {task}"
        self.task = task
        self.consumer = consumer
        self._read = read
        self._runner = runner
        self._clock = clock
        self.on_refused: list[Callable[[list[tuple[Pending, Outcome]]], None]] = []
        """Each is called with events that became dead letters, once that is stored. Must not raise."""
        self._pulled: list[Pending] = []
        """Handed out, and not asked a run for yet: they are handed out once."""
        self._unstored = False
        self._untold: list[tuple[Pending, Outcome]] = []
        self._wakeup = Wakeup()
        self._work = Background(self.name)

    async def start(self) -> None:
        """Take up the place where it was left."""
        await self.consumer.open()
        self.consumer.on_ready(self._wakeup.set)
        self._work.run("trigger", self._go_on())

    async def stop(self) -> None:
        """Take no more events; what was asked for is stored."""
        self._work.cancel()
        await self._work.finish()
        try:
            await self.consumer.close()
        except Exception:  # noqa: BLE001 (the events ask again after the next start, for the same runs)
            log.failure("trigger.not_closed", task=self.task)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._take_some()
            except CancelledError:
                raise
            except Exception as trouble:  # noqa: BLE001 (of the disk, whatever it is)
                log.error(
                    "trigger.stumbled",
                    task=self.task,
                    reason=str(trouble),
                    again_in=STUMBLED,
                    remedy="make room on the journal's disk, or mend it",
                )
                await deferLater(self._clock, STUMBLED)

    async def _take_some(self) -> None:
        if self._unstored:
            await self._settle([])
        if not self._pulled:
            while await self._runner.waiting(self.task) >= ENOUGH:
                await deferLater(self._clock, 1.0)
            self._pulled = await self.consumer.pull(AT_ONCE)
        if not self._pulled:
            await self._wakeup.wait()
            return
        done: list[tuple[Pending, Outcome]] = []
        starting = []
        for pending in self._pulled:
            read = self._read(pending)
            if isinstance(read, Refused | Skipped):
                done.append((pending, read))
            else:
                starting.append(pending)
        answers = await self._runner.ask_all(
            self.task,
            [(params_of(each.record), f"event {each.record.identity}") for each in starting],
            cause="event",
        )
        done += [(each, _outcome(answer)) for each, answer in zip(starting, answers, strict=True)]
        self._pulled = []
        await self._settle(done)

    async def _settle(self, done: list[tuple[Pending, Outcome]]) -> None:
        # Where the disk refuses, the consumer keeps them for the next call.
        self._unstored = True
        self._untold += [each for each in done if isinstance(each[1], Refused)]
        await self.consumer.settle(done)
        self._unstored = False
        refused, self._untold = self._untold, []
        for pending, outcome in refused:
            assert isinstance(outcome, Refused)
            log.warn(
                "trigger.refused",
                task=self.task,
                seq=pending.record.seq,
                code=outcome.code,
                remedy="lineside deadletters list",
            )
        for tell in self.on_refused if refused else ():
            tell(refused)


def _outcome(answer: Asked | WrongParameters) -> Outcome:
    if isinstance(answer, WrongParameters):
        # A dead letter: a person mends the task or the event, and lets it try again.
        return Refused("parameters", str(answer))
    return Skipped() if answer.outcome == "skipped" else Delivered(f"run {answer.run}")


def params_of(record: Record) -> dict[str, Any]:
    """Return the parameters that an event gives to its run."""
    return {
        "event": msgspec.json.decode(record.event.body),
        "seq": record.seq,
        "source": record.source,
        "device": record.event.device,
    }
