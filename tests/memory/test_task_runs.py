"""A task's runs, from the wish to the end, on a database and a clock that the test holds."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import msgspec
from tests.rig.task_case import Hung, TaskCase
from twisted.internet.defer import Deferred

from lineside.delivery.backoff import Backoff
from lineside.tasks import lookups
from lineside.tasks.context import Context
from lineside.tasks.runner import NotNow
from lineside.tasks.task import GiveUp, RetryPolicy, Task


def once(result: Any) -> Callable[[Context[Any]], Any]:
    """Return a task's function that ends at once: with a value, or by raising it."""

    def function(context: Context[Any]) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return function


class Running(TaskCase):
    """What a run is told and tells."""

    def test_ends_with_what_the_function_returned(self) -> None:
        """A run is stored before its function is called, and its result afterwards."""
        seen: list[str] = []

        async def count(context: Context[Any]) -> dict[str, int]:
            seen.append(self.run_of(context.run).state)
            return {"counted": context.params["upto"]}

        self.begin(Task("count", count, params={"upto": 3}))
        run = self.run_of(self.ask("count"))
        self.assertEqual(
            ("succeeded", {"counted": 3}, 1), (run.state, msgspec.json.decode(run.result or b""), run.attempt)
        )
        self.assertEqual(["running"], seen)
        self.assertEqual(["queued", "running", "succeeded"], [told.state for told in self.told])

    def test_waits_for_a_deferred(self) -> None:
        """A function may return a Deferred: the run ends when it fires."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.assertEqual("running", self.run_of(asked).state)
        hung.finish([1, 2])
        self.assertEqual("succeeded", self.run_of(asked).state)

    def test_is_as_far_as_a_generator_yields(self) -> None:
        """A generator yields how far it is, others work in between, and its return value is the result."""

        def steps(context: Context[Any]) -> Generator[Any, Any, str]:
            yield 1, 3, "first"
            yield 2, 3, "second"
            yield 3, 3
            return "all"

        self.begin(Task("steps", steps))
        asked = self.ask("steps")
        self.clock.pump([0.0, 0.0, 0.0, 1.0])
        run = self.run_of(asked)
        self.assertEqual(
            ("succeeded", 3.0, 3.0, b'"all"'), (run.state, run.done, run.total, bytes(run.result or b""))
        )

    def test_fails_with_one_line_and_a_traceback(self) -> None:
        """A function that raises makes its run fail: the reason is kept, and where it was raised."""
        self.begin(Task("broken", once(KeyError("stock"))))
        run = self.run_of(self.ask("broken"))
        self.assertEqual(("failed", "KeyError: 'stock'"), (run.state, run.error))
        self.assertIn("test_task_runs.py", run.traceback or "")

    def test_fails_where_the_result_is_nothing_that_can_be_kept(self) -> None:
        """A result that JSON cannot hold is an error of the task's, said clearly."""
        self.begin(Task("odd", once(object())))
        run = self.run_of(self.ask("odd"))
        self.assertEqual("failed", run.state)
        self.assertIn("the result of the task cannot be kept", run.error or "")

    def test_keeps_its_log(self) -> None:
        """Lines of a run's log are kept with the run, in order."""

        async def talk(context: Context[Any]) -> None:
            context.log("begun")
            context.log("done")

        self.begin(Task("talk", talk))
        run = self.run_of(self.ask("talk"))
        lines = self.successResultOf(self.database.read(lambda connection: lookups.lines_of(connection, run.id)))
        self.assertEqual(["begun", "done"], [text for _, text in lines])


class Retrying(TaskCase):
    """Failures and what follows."""

    def test_comes_again_after_its_backoff(self) -> None:
        """A run that failed is queued again, as often as its policy says, each time after a longer rest."""
        self.begin(Task("broken", once(OSError("no")), retry=RetryPolicy(3, Backoff((10.0, 60.0)))))
        asked = self.ask("broken")
        attempts = []
        for rest in (0.0, 9.9, 0.2, 59.9, 0.2):
            self.clock.advance(rest)
            run = self.run_of(asked)
            attempts.append((run.attempt, run.state))
        self.assertEqual([(1, "queued"), (1, "queued"), (2, "queued"), (2, "queued"), (3, "failed")], attempts)

    def test_only_for_the_errors_named(self) -> None:
        """``on`` names exceptions by their classes or their ancestors; another one is final."""
        policy = RetryPolicy(5, Backoff((1.0,)), frozenset({"OSError"}))
        self.begin(
            Task("lost", once(ConnectionError("x")), retry=policy), Task("wrong", once(ValueError()), retry=policy)
        )
        lost, wrong = self.ask("lost"), self.ask("wrong")
        self.assertEqual(["queued", "failed"], [self.run_of(lost).state, self.run_of(wrong).state])

    def test_not_where_the_function_gives_up(self) -> None:
        """`GiveUp` is final, and its text alone is told."""
        self.begin(Task("vain", once(GiveUp("no such order")), retry=RetryPolicy(5)))
        run = self.run_of(self.ask("vain"))
        self.assertEqual(("failed", "no such order"), (run.state, run.error))

    def test_a_time_out_counts_as_a_failure(self) -> None:
        """A run that takes too long is cancelled where it waits, and tried again."""
        hung = Hung()
        self.begin(Task("slow", hung, timeout=5.0, retry=RetryPolicy(2, Backoff((1.0,)))))
        asked = self.ask("slow")
        self.clock.advance(5.0)
        self.assertEqual((1, "queued"), (hung.cancelled, self.run_of(asked).state))
        self.clock.advance(1.0)
        self.clock.advance(5.0)
        run = self.run_of(asked)
        self.assertEqual(("failed", "TimeoutError: not done within 5 s"), (run.state, run.error))

    def test_a_person_runs_it_once_more(self) -> None:
        """A failed run may be queued again by hand; one that succeeded may not."""
        results: list[Any] = [ValueError("first"), "second"]

        async def moody(context: Context[Any]) -> Any:
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        self.begin(Task("moody", moody))
        asked = self.ask("moody")
        self.successResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)))
        self.assertEqual("succeeded", self.run_of(asked).state)
        self.failureResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)), NotNow)


class Together(TaskCase):
    """Several runs of one task."""

    def test_no_more_than_the_concurrency(self) -> None:
        """Runs beyond the concurrency wait, and go in the order in which they were asked for."""
        hung = Hung()
        self.begin(Task("hung", hung, concurrency=2))
        for item in "abc":
            self.ask("hung", {"item": item})
        self.assertEqual(["a", "b"], hung.items)
        hung.finish()
        self.assertEqual(["b", "c"], hung.items)

    def test_one_at_a_time_of_an_item(self) -> None:
        """Two runs with one key never run together; another item does not wait for them."""
        hung = Hung()
        self.begin(Task("hung", hung, key="item", concurrency=3))
        for item in ("a", "a", "b"):
            self.ask("hung", {"item": item})
        self.assertEqual(["a", "b"], hung.items)
        hung.finish()
        self.assertEqual(["b", "a"], hung.items)

    def test_skips_while_one_runs(self) -> None:
        """With ``skip`` a wish while another run has not ended adds none, and names that one."""
        hung = Hung()
        self.begin(Task("hung", hung, overlap="skip"))
        first = self.ask("hung")
        second = self.ask("hung")
        self.assertEqual(("skipped", first.run), (second.outcome, second.run))
        self.assertEqual(1, self.runner.places["hung"].skipped)

    def test_a_newer_one_takes_its_place(self) -> None:
        """With ``cancel`` the run under way is cancelled, and the new one begins when it has ended."""
        hung = Hung()
        self.begin(Task("hung", hung, overlap="cancel"))
        first = self.ask("hung")
        second = self.ask("hung")
        self.assertEqual(["cancelled", "running"], [self.run_of(first).state, self.run_of(second).state])
        self.assertEqual("a newer run takes its place", self.run_of(first).error)

    def test_not_twice_within_its_time(self) -> None:
        """``unique_for``: a second wish for the same within that time gets the first one's run."""
        self.begin(Task("quick", once(1), unique_for=60.0))
        first = self.ask("quick", {"order": 1})
        self.assertEqual("repeated", self.ask("quick", {"order": 1}).outcome)
        self.assertEqual("queued", self.ask("quick", {"order": 2}).outcome)
        self.clock.advance(61.0)
        again = self.ask("quick", {"order": 1})
        self.assertEqual(("queued", True), (again.outcome, again.run != first.run))

    def test_one_run_for_one_occasion(self) -> None:
        """Who asks twice for the same occasion, perhaps after a crash, gets the first one's run."""
        self.begin(Task("quick", once(1)))
        first = self.ask("quick", occasion="event:7")
        self.assertEqual(
            (first.run, "repeated"), ((again := self.ask("quick", occasion="event:7")).run, again.outcome)
        )

    def test_not_before_it_is_due(self) -> None:
        """A run may be asked for ahead of its time."""
        self.begin(Task("quick", once(1)))
        asked = self.ask("quick", delay=30.0)
        self.clock.advance(29.0)
        self.assertEqual("queued", self.run_of(asked).state)
        self.clock.advance(1.1)
        self.assertEqual("succeeded", self.run_of(asked).state)

    def test_nothing_begins_while_paused(self) -> None:
        """A paused task keeps what it is asked for, also over a restart, until it is resumed."""
        self.begin(Task("quick", once(1)))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("quick", True)))
        asked = self.ask("quick")
        self.stop()
        self.begin(Task("quick", once(1)))
        self.assertEqual("queued", self.run_of(asked).state)
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("quick", False)))
        self.assertEqual("succeeded", self.run_of(asked).state)


class Ending(TaskCase):
    """Cancelling, crashes and disks that refuse."""

    def test_cancelling_reaches_what_the_run_waits_for(self) -> None:
        """A coroutine is cancelled where it waits, and so is what it waits for."""
        hung = Hung()

        async def outer(context: Context[Any]) -> None:
            await hung(context)

        self.begin(Task("outer", outer))
        asked = self.ask("outer")
        self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(asked.run or 0)))
        self.assertEqual((1, "cancelled"), (hung.cancelled, self.run_of(asked).state))
        self.failureResultOf(Deferred.fromCoroutine(self.runner.cancel(asked.run or 0)), NotNow)

    def test_a_queued_one_is_cancelled_at_once(self) -> None:
        """A run that waits never begins once it is cancelled."""
        hung = Hung()
        self.begin(Task("hung", hung))
        self.ask("hung")
        waits = self.ask("hung")
        self.successResultOf(Deferred.fromCoroutine(self.runner.cancel(waits.run or 0)))
        hung.finish()
        self.assertEqual(("cancelled", []), (self.run_of(waits).state, hung.items))

    def test_a_crash_runs_it_again(self) -> None:
        """What was under way when the gateway died is begun anew at the next start."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.crash()
        self.begin(Task("hung", once("done")))
        self.assertEqual("succeeded", self.run_of(asked).state)

    def test_a_crash_leaves_it_to_a_person(self) -> None:
        """Where the policy says stop, it is kept as interrupted, and a person runs it again."""
        hung = Hung()
        self.begin(Task("hung", hung, interrupted="stop"))
        asked = self.ask("hung")
        self.crash()
        self.begin(Task("hung", once("done"), interrupted="stop"))
        self.assertEqual("interrupted", self.run_of(asked).state)
        self.successResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)))
        self.assertEqual("succeeded", self.run_of(asked).state)

    def test_what_kills_the_gateway_is_not_begun_for_ever(self) -> None:
        """After five deaths in its middle a run waits for a person."""
        hung = Hung()
        asked = None
        for _ in range(5):
            self.begin(Task("hung", hung))
            asked = asked or self.ask("hung")
            self.crash()
        self.begin(Task("hung", hung))
        assert asked is not None
        self.assertEqual("interrupted", self.run_of(asked).state)

    def test_a_finished_step_is_not_repeated(self) -> None:
        """A run that is begun anew gets the stored results of the steps that it had finished."""
        calls: list[str] = []
        hung = Hung()

        def begin() -> list[int]:
            calls.append("first")
            return [1]

        async def work(context: Context[Any]) -> list[Any]:
            first = await context.step("first", begin)
            second = await context.step("second", hung, context)
            return [*first, second]

        self.begin(Task("work", work))
        asked = self.ask("work")
        self.crash()
        self.begin(Task("work", work))
        hung.under_way[-1][1].callback(2)
        run = self.run_of(asked)
        self.assertEqual((["first"], b"[1,2]"), (calls, bytes(run.result or b"")))

    def test_stopping_ends_it_and_the_next_start_begins_it(self) -> None:
        """At SIGTERM what runs is cancelled and queued, and costs none of its attempts."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.stop()
        self.assertEqual(1, hung.cancelled)
        self.begin(Task("hung", once(1)))
        run = self.run_of(asked)
        self.assertEqual(("succeeded", 1), (run.state, run.attempt))

    def test_stopping_waits_for_what_takes_its_time_to_end(self) -> None:
        """A run that tidies up first is waited for until its end is stored, and then the stop is done."""

        async def tidy(context: Context[Any]) -> None:
            try:
                await context.sleep(1_000)
            finally:
                await context.sleep(1)

        self.begin(Task("tidy", tidy))
        asked = self.ask("tidy")
        stopped = Deferred.fromCoroutine(self.runner.stop())
        writer = self.workers["journal-writer"]
        writer.held = True
        self.clock.advance(1.0)
        self.assertNoResult(stopped)
        writer.release()
        self.clock.advance(0.0)
        self.successResultOf(stopped)
        self.assertEqual("queued", self.run_of(asked).state)

    def test_a_disk_that_refuses_loses_no_end(self) -> None:
        """What became of a run is kept until it can be stored."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.disk = "full"
        hung.finish("late")
        self.clock.advance(1.0)
        self.assertEqual("running", self.run_of(asked).state)
        self.disk = "well"
        self.clock.advance(2.0)
        self.assertEqual("succeeded", self.run_of(asked).state)


class NeedingTheErp(TaskCase):
    """Tasks that wait while the ERP is away."""

    def test_begins_when_the_erp_answers_again(self) -> None:
        """A task marked as the ERP's begins nothing in its absence, and loses nothing."""

        class Door:
            ready = False

            def __init__(self) -> None:
                self.opens: Deferred[object] = Deferred()

            async def passed(self) -> object:
                return await self.opens

        door = self.doors["main"] = Door()
        self.begin(Task("sync", once(1), erp=True, target="main"))
        asked = self.ask("sync")
        self.assertEqual(("queued", True), (self.run_of(asked).state, self.runner.lanes["sync"].waits_for_erp))
        door.ready = True
        door.opens.callback(True)
        self.assertEqual("succeeded", self.run_of(asked).state)
