"""Events that start tasks: one run each, whatever crashes in between."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.rig.task_case import TaskCase
from twisted.internet.defer import Deferred

from lineside.assemble.tasksettings import TaskSettings
from lineside.assemble.tasktriggers import trigger_route, trigger_spec
from lineside.journal import deadletters
from lineside.journal.consumer import DurableConsumer
from lineside.journal.deadletters import DeadLetter
from lineside.journal.log import SqliteJournal
from lineside.model.event import Event
from lineside.model.ports import Pending, Ready
from lineside.operations.deadletters import DeadLetterOperations
from lineside.operations.requests import RetryDeadLetters
from lineside.tasks import triggers
from lineside.tasks.context import Context
from lineside.tasks.task import Task
from lineside.tasks.triggers import Trigger


class Item(msgspec.Struct):
    """What a strict function wants."""

    item: str


class Params(msgspec.Struct):
    """The parameters of a run that an event started."""

    event: Item
    seq: int


def strictly(params: Any) -> Params:
    """Take what a function annotated with `Params` takes."""
    return msgspec.convert(dict(params), Params)


class TriggerCase(TaskCase):
    """A gateway whose gate's events start a task."""

    when: str | None = "{{ kind == 'empty' }}"

    def setUp(self) -> None:
        super().setUp()
        self.seen: list[Any] = []

    def look(self, context: Context[Any]) -> None:
        self.seen.append(context.params)

    def begin_all(self, task: Task | None = None) -> None:
        """Start a gateway with one task and what starts it."""
        task = task or Task("look", self.look)
        self.begin(task)
        self.journal = SqliteJournal(self.database, now_ns=self.wall_ns)
        self.done(self.journal.open())
        settings = TaskSettings(run="any:look", on=("sources.gate",), when=self.when)
        route = trigger_route(task.name, settings)
        self.consumer = DurableConsumer(trigger_spec(route), self.journal, self.database, self.clock)

        def read(pending: Pending) -> object:
            return route.render(pending, Ready("UTC"))

        self.trigger = Trigger(task.name, self.consumer, read, self.runner, self.clock)
        self.refused: list[tuple[int, str]] = []
        self.trigger.on_refused.append(self.tell)
        self.done(self.trigger.start())

    def tell(self, refused: list[tuple[Pending, Any]]) -> None:
        self.refused += [(pending.record.seq, outcome.code) for pending, outcome in refused]

    def end_all(self) -> None:
        """Stop it as SIGTERM does."""
        self.done(self.trigger.stop())
        self.stop()

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def append(self, *bodies: bytes) -> None:
        self.done(self.journal.append("gate", [Event(body) for body in bodies]))

    def letters(self) -> list[DeadLetter]:
        return self.successResultOf(
            self.database.read(lambda c: deadletters.page(c, after=0, consumer=None, limit=10))
        )


class Events(TriggerCase):
    """What an event starts."""

    def test_an_event_starts_one_run(self) -> None:
        """It gets the event, its sequence, its source and its device; other events start nothing."""
        self.begin_all()
        self.append(b'{"kind": "empty", "item": "BOLT-M8"}', b'{"kind": "full"}')
        self.assertEqual(["succeeded"], self.states())
        self.assertEqual(
            [{"event": {"kind": "empty", "item": "BOLT-M8"}, "seq": 1, "source": "gate", "device": None}], self.seen
        )
        self.assertEqual("event", self.all_runs()[0].cause)
        self.end_all()

    def test_what_came_before_the_task_starts_nothing(self) -> None:
        """A task that is configured anew does not work through the past; what comes while it is down is owed."""
        self.begin(Task("other", self.look))
        self.journal = SqliteJournal(self.database, now_ns=self.wall_ns)
        self.done(self.journal.open())
        self.append(b'{"kind": "empty", "item": "past"}')
        self.stop()
        self.begin_all()
        self.assertEqual([], self.states())
        self.done(self.trigger.stop())
        self.append(b'{"kind": "empty", "item": "meanwhile"}')
        self.stop()
        self.begin_all()
        self.assertEqual(["meanwhile"], [params["event"]["item"] for params in self.seen])
        self.end_all()

    def test_a_crash_between_asking_and_settling_starts_no_second_run(self) -> None:
        """The event is handed out again after the restart, and finds the run that it started."""
        self.begin_all()

        async def settle(done: list[Any]) -> None:
            await Deferred()

        self.patch(self.consumer, "settle", settle)
        self.append(b'{"kind": "empty", "item": "BOLT-M8"}')
        self.assertEqual(["succeeded"], self.states())
        self.crash()
        self.begin_all()
        self.assertEqual((1, ["succeeded"]), (len(self.seen), self.states()))
        # This time it was settled: it is owed no more.
        self.assertEqual(0, self.done(self.consumer.backlog()).waiting)
        self.end_all()

    def test_a_crash_before_asking_loses_no_event(self) -> None:
        """What was acknowledged starts its run after the restart."""
        self.begin_all()

        def refuse(*_: Any, **__: Any) -> Deferred[Any]:
            return Deferred()

        self.patch(self.runner, "ask_all", refuse)
        self.append(b'{"kind": "empty", "item": "BOLT-M8"}')
        self.assertEqual([], self.states())
        self.crash()
        self.begin_all()
        self.assertEqual(["succeeded"], self.states())
        self.end_all()

    def test_a_disk_that_refuses_is_tried_again(self) -> None:
        """The event waits, and starts its run once there is room, whichever of the two commits was refused."""
        self.begin_all()
        refusing = self.patch(self.runner, "ask_all", self._refuse)
        self.append(b'{"kind": "empty", "item": "BOLT-M8"}')
        refusing.restore()
        self.assertEqual([], self.states())
        self.clock.advance(triggers.STUMBLED)
        self.assertEqual(["succeeded"], self.states())
        write = self.database.write
        refusing = self.patch(self.runner, "ask_all", self._then_refuse)
        self.append(b'{"kind": "empty", "item": "NUT-M8"}')
        refusing.restore()
        self.database.write = write  # type: ignore[method-assign]
        self.clock.advance(triggers.STUMBLED)
        self.crash()
        self.begin_all()
        # Both were asked for once, and the second is stored as settled, though the first attempt at that failed.
        self.assertEqual((["succeeded"] * 2, 2), (self.states(), len(self.seen)))
        self.assertEqual(0, self.done(self.consumer.backlog()).waiting)
        self.end_all()

    async def _then_refuse(self, *arguments: Any, **more: Any) -> Any:
        asked = await type(self.runner).ask_all(self.runner, *arguments, **more)
        self.database.write = self._refuse  # type: ignore[method-assign]
        return asked

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise OSError("database or disk is full")

    def test_an_event_while_one_runs_is_left_out_where_that_is_wanted(self) -> None:
        """With ``overlap = "skip"`` it is settled, and counted."""
        waits: list[Deferred[None]] = []

        def hang(_: Context[Any]) -> Deferred[None]:
            waits.append(Deferred())
            return waits[-1]

        self.begin_all(Task("look", hang, overlap="skip"))
        self.append(b'{"kind": "empty", "item": "a"}')
        self.append(b'{"kind": "empty", "item": "b"}')
        self.assertEqual((["running"], 1), (self.states(), self.runner.places["look"].skipped))
        self.assertEqual([], self.letters())
        waits[0].callback(None)
        self.end_all()


class Wrong(TriggerCase):
    """Events that start nothing, and are kept for a person."""

    def test_parameters_that_are_wrong_are_a_dead_letter(self) -> None:
        """Those beside it start their runs. Once the task is mended, `deadletters retry` lets it start its own."""
        self.begin_all(Task("look", self.look, accepts=strictly))
        self.append(b'{"kind": "empty"}', b'{"kind": "empty", "item": "BOLT-M8"}')
        self.assertEqual(["succeeded"], self.states())
        (letter,) = self.letters()
        self.assertEqual(("task.look", "parameters", 1), (letter.consumer, letter.code, letter.record.seq))
        self.assertEqual(
            "tasks.look: Object missing required field `item` - at `$.event`",
            letter.reason,
        )
        self.end_all()
        self.begin_all()
        operations = DeadLetterOperations(self.journal, self.database, {}, {"task.look": self.consumer})
        told = self.done(operations.retry(RetryDeadLetters(ids=[letter.id])))
        self.assertEqual((1, []), (told.done, told.skipped))
        self.assertEqual((["succeeded", "succeeded"], []), (self.states(), self.letters()))
        self.assertEqual([2, 1], [getattr(each, "seq", None) or each["seq"] for each in self.seen])
        self.end_all()

    def test_a_condition_that_cannot_be_told_is_a_dead_letter(self) -> None:
        """One that compares what cannot be compared starts nothing, and holds up no other."""
        self.when = "{{ left < 5 }}"
        self.begin_all()
        self.append(b'{"item": "a", "left": "4"}', b'{"item": "b", "left": 4}', b'{"item": "c", "left": 5}')
        self.assertEqual(["b"], [params["event"]["item"] for params in self.seen])
        (letter,) = self.letters()
        self.assertEqual(("template", 1), (letter.code, letter.record.seq))
        self.end_all()

    def test_an_event_that_cannot_be_read_is_a_dead_letter(self) -> None:
        """One whose bytes are no JSON, however it got in, holds up no other."""
        self.when = None
        self.begin_all()
        self.append(b"{oh", b'{"item": "b"}')
        self.assertEqual(["b"], [params["event"]["item"] for params in self.seen])
        self.assertEqual(["payload"], [letter.code for letter in self.letters()])
        self.assertEqual([(1, "payload")], self.refused)
        self.end_all()


class BackPressure(TriggerCase):
    """More events than runs can be made of."""

    when = None

    def test_what_is_too_much_stays_in_the_journal(self) -> None:
        """Past so many runs that wait no further events are taken, until there are fewer; then all come, once."""
        self.patch(triggers, "ENOUGH", 20)
        self.patch(triggers, "AT_ONCE", 10)
        waits: list[Deferred[None]] = []

        def hang(context: Context[Any]) -> Deferred[None]:
            self.seen.append(context.params["seq"])
            waits.append(Deferred())
            return waits[-1]

        self.begin_all(Task("look", hang))
        self.append(*[b"{}"] * 60)
        # One is under way; ten more are taken while fewer than twenty wait.
        queued = self.successResultOf(Deferred.fromCoroutine(self.runner.waiting("look")))
        self.assertEqual((29, 30), (queued, self.done(self.consumer.backlog()).waiting))
        while waits:
            waits.pop(0).callback(None)
            self.clock.advance(1.0)
        self.assertEqual(list(range(1, 61)), self.seen)
        self.assertEqual(["succeeded"] * 60, self.states())
        self.end_all()

    def test_stopping_while_it_waits(self) -> None:
        """A gateway stops although runs are too many, and owes the rest at its next start."""
        self.patch(triggers, "ENOUGH", 1)
        self.patch(triggers, "AT_ONCE", 1)
        self.begin_all(Task("look", lambda context: Deferred()))
        self.append(*[b"{}"] * 5)
        self.end_all()
        self.patch(triggers, "ENOUGH", 100)
        self.begin_all()
        self.clock.advance(1.0)
        self.assertEqual([1, 2, 3, 4, 5], [params["seq"] for params in self.seen])
        self.end_all()
