"""Whatever happens to tasks, in whatever order: no run is lost, and none comes twice."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.rig.task_case import Disk, TaskCase
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.backoff import Backoff
from lineside.model.errors import CommitInDoubt
from lineside.tasks import runner, runs
from lineside.tasks.context import Context
from lineside.tasks.runner import NotNow
from lineside.tasks.task import GiveUp, RetryPolicy, Task

UNIQUE_FOR = 40.0
TRIED = RetryPolicy(3, Backoff((2.0, 7.0)))
ITEMS = st.sampled_from(["a", "b", "c"])


class Playing(TaskCase):
    """Five tasks of different promises, whose runs go on until they are let end."""

    def setUp(self) -> None:
        super().setUp()
        self.under_way: dict[int, tuple[Context[Any], Deferred[Any]]] = {}
        self.began: list[int] = []
        common: dict[str, Any] = {"key": "item", "retry": TRIED}
        self.tasks = (
            Task("queue", self.play, concurrency=2, **common),
            Task("skip", self.play, concurrency=2, overlap="skip", **common),
            Task("cancel", self.play, concurrency=3, overlap="cancel", **common),
            Task("once", self.play, concurrency=2, unique_for=UNIQUE_FOR, **common),
            Task("stop", self.play, interrupted="stop", retry=TRIED, timeout=60.0),
        )

    def play(self, context: Context[Any]) -> Deferred[Any]:
        """Begin a run of any of them."""
        if context.run in self.under_way:
            self.fail(f"run {context.run} is under way twice")
        self.began.append(context.run)

        def forget(result: Any) -> Any:
            if self.under_way.get(context.run, (None, None))[1] is waits:
                del self.under_way[context.run]
            return result

        waits: Deferred[Any] = Deferred()
        self.under_way[context.run] = context, waits
        return waits.addBoth(forget)

    def crash(self) -> None:
        """Let nothing of the dead process go on."""
        super().crash()
        self.under_way.clear()


class TaskLives(RuleBasedStateMachine):
    """Wishes, ends, failures, cancellings, pauses, crashes, stops, clocks that are set, disks that refuse."""

    @initialize()
    def begin(self) -> None:
        """Start the gateway."""
        self.case = Playing("setUp")
        self.case.setUp()
        self.known: set[int] = set()
        self.ended: dict[int, str] = {}
        self.wished_at: dict[int, tuple[str, float]] = {}
        self.case.begin(*self.case.tasks)

    @property
    def now(self) -> float:
        """The time that truly passes, over all processes."""
        return self.case.clock.seconds()

    def done(self, coroutine: Any) -> Any:
        """Return a result, or the exception that a disk or a state gives cause for."""
        results: list[Any] = []
        Deferred.fromCoroutine(coroutine).addBoth(results.append)
        assert results, "it waits for something"
        if hasattr(results[0], "trap"):
            results[0].trap(OSError, CommitInDoubt, NotNow)
            return results[0].value
        return results[0]

    @rule(
        name=st.sampled_from(["queue", "skip", "cancel", "once", "stop"]), item=ITEMS, delay=st.sampled_from([0, 9])
    )
    def ask(self, name: str, item: str, delay: int) -> None:
        """Somebody wants a run."""
        asked = self.done(self.case.runner.ask(name, {"item": item}, delay=float(delay)))
        if isinstance(asked, runs.Asked) and asked.run is not None:
            if asked.outcome == "queued":
                assert asked.run not in self.known
            self.known.add(asked.run)

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0, 31.0, 70.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.case.clock.pump([seconds / 4] * 4)

    @precondition(lambda self: self.case.under_way)
    @rule(which=st.integers(0), how=st.sampled_from(["well", "failing", "for good"]))
    def finish(self, which: int, how: str) -> None:
        """A function ends."""
        run = sorted(self.case.under_way)[which % len(self.case.under_way)]
        _, waits = self.case.under_way[run]
        if how == "well":
            waits.callback({"run": run})
        else:
            waits.errback(OSError("no") if how == "failing" else GiveUp("never"))

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0))
    def cancel(self, which: int) -> None:
        """A person cancels a run."""
        self.done(self.case.runner.cancel(sorted(self.known)[which % len(self.known)]))

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0))
    def retry(self, which: int) -> None:
        """A person wants a run once more."""
        run = sorted(self.known)[which % len(self.known)]
        before = self.ended.pop(run, None)
        result = self.done(self.case.runner.retry(run))
        if isinstance(result, NotNow) and before is not None:
            assert before == "succeeded"
            self.ended[run] = before

    @rule(name=st.sampled_from(["queue", "once"]))
    def pause(self, name: str) -> None:
        """A person pauses a task, or resumes it."""
        self.done(self.case.runner.pause(name, not self.case.runner.lanes[name].paused))

    @rule()
    def crash(self) -> None:
        """The process is killed and comes back; the disk is mended meanwhile."""
        self.case.crash()
        self.case.disk = "well"
        self.case.clock.advance(1.0)
        self.case.begin(*self.case.tasks)

    @precondition(lambda self: self.case.disk == "well")
    @rule()
    def stop(self) -> None:
        """The process is stopped and comes back."""
        self.case.stop()
        assert not self.case.under_way
        self.case.begin(*self.case.tasks)

    @precondition(lambda self: self.case.disk == "well")
    @rule(seconds=st.sampled_from([-86_400.0 * 400, -3_600.0, -20.0, 20.0, 3_600.0, 86_400.0 * 400]))
    def jump(self, seconds: float) -> None:
        """The wall clock is set, and a look at it notices."""
        self.case.jump += seconds
        self.case.clock.advance(runner.WATCH_EVERY)

    @rule(disk=st.sampled_from(["well", "full", "doubtful"]))
    def trouble(self, disk: Disk) -> None:
        """The disk gets into trouble, or is mended."""
        self.case.disk = disk
        if disk == "well":
            # The longest rest after trouble.
            self.case.clock.pump([6.0, 6.0])

    @invariant()
    def holds_its_promises(self) -> None:
        """Look at what is stored, and at what runs."""
        found = {run.id: run for run in self.case.all_runs()}
        for run in found.values():
            if run.id not in self.wished_at:
                # Perhaps in doubt: stored, though nobody was told.
                self.known.add(run.id)
                self.wished_at[run.id] = f"{run.task} {run.key}", self.now
                if run.task == "once":
                    self.is_alone(run)
        assert self.known <= found.keys(), "runs are lost"
        for identifier, state in self.ended.items():
            assert found[identifier].state == state, f"run {identifier} was {state}"
        items = [(found[run].task, found[run].key) for run in self.case.under_way if found[run].key is not None]
        assert len(items) == len(set(items)), "two of an item run together"
        for task in self.case.tasks:
            under_way = {run for run in self.case.under_way if found[run].task == task.name}
            stored = {run.id for run in found.values() if run.task == task.name and run.state == "running"}
            assert len(under_way) <= task.concurrency
            assert under_way <= stored, "something runs that is not stored as running"
            if self.case.disk == "well":
                assert under_way == stored, "something is stored as running that does not run"
        for run in found.values():
            if run.state not in runs.OPEN:
                self.ended[run.id] = run.state
            if run.state == "succeeded":
                assert msgspec.json.decode(run.result or b"") == {"run": run.id}

    def is_alone(self, run: runs.Run) -> None:
        """Hold a new run of the task with ``unique_for`` against the others of its item."""
        what, when = self.wished_at[run.id]
        for other, (same, before) in self.wished_at.items():
            if other != run.id and same == what:
                assert when - before >= UNIQUE_FOR, f"runs {other} and {run.id} are inside unique_for"

    def teardown(self) -> None:
        """In the end, everything that was wished for has ended."""
        if not hasattr(self, "case"):
            return
        self.trouble("well")
        for name in "queue", "once":
            if self.case.runner.lanes[name].paused:
                self.pause(name)
        for _ in range(400):
            for _, waits in list(self.case.under_way.values()):
                waits.callback({"run": next(run for run, one in self.case.under_way.items() if one[1] is waits)})
            self.case.clock.advance(10.0)
            self.holds_its_promises()
            if not any(run.state in runs.OPEN for run in self.case.all_runs()):
                break
        else:
            raise AssertionError(f"never ended: {self.case.states()}")
        self.case.stop()


class AnyOrder(SynchronousTestCase):
    """Many lives of a gateway with tasks."""

    def test_no_run_is_lost_and_none_comes_twice(self) -> None:
        """After any sequence of events every run ends once, and every promise has held at every moment."""
        run_state_machine_as_test(
            TaskLives,
            settings=settings(
                max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        # What a disk refuses is told, and no failure of the test's.
        self.flushLoggedErrors(OSError, CommitInDoubt)
