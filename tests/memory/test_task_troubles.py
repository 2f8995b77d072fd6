"""Tasks while things go wrong: disks that refuse, races, functions that do what they should not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, cast

from tests.rig.task_case import Hung, TaskCase
from twisted.internet.defer import CancelledError, Deferred

from lineside.delivery.backoff import Backoff
from lineside.model.errors import CommitInDoubt
from lineside.store.database import WRITER
from lineside.tasks import context as contexts
from lineside.tasks import lookups, runs
from lineside.tasks.calendar import Cron
from lineside.tasks.context import Cancelled, Context
from lineside.tasks.runner import NotNow
from lineside.tasks.task import RetryPolicy, Task


class Refused(TaskCase):
    """A disk that refuses, and one of which nobody knows what it has stored."""

    def mend(self) -> None:
        self.disk = "well"
        self.clock.advance(15.0)

    def test_a_wish_that_is_not_stored_is_told(self) -> None:
        """Who asks while the disk is full hears of it, and nothing is left over."""
        self.begin(Task("hung", Hung()))
        self.disk = "full"
        self.failureResultOf(Deferred.fromCoroutine(self.runner.ask("hung")), OSError)
        self.mend()
        self.assertEqual([], self.all_runs())

    def test_a_wish_in_doubt_is_not_forgotten(self) -> None:
        """Where a wish is stored though its commit was in doubt, its run begins, without another who asks."""
        hung = Hung()
        self.begin(Task("hung", hung))
        self.disk = "doubtful"
        self.failureResultOf(Deferred.fromCoroutine(self.runner.ask("hung")), CommitInDoubt)
        self.mend()
        self.assertEqual([1], [context.attempt for context, _ in hung.under_way])

    def test_a_retry_in_doubt_is_not_forgotten(self) -> None:
        """A run that a person queued once more begins, though its commit was in doubt and nobody asks again."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        hung.finish(OSError("no"))
        self.disk = "doubtful"
        self.failureResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)), CommitInDoubt)
        self.mend()
        self.assertEqual(1, len(hung.under_way))

    def test_a_claim_that_is_not_stored_is_made_again(self) -> None:
        """Nothing begins whose claim is not stored; it does once the disk takes it."""
        hung = Hung()
        self.begin(Task("hung", hung))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hung", True)))
        asked = self.ask("hung")
        self.disk = "full"
        self.runner.lanes["hung"].paused = False
        self.assertEqual([], hung.under_way)
        self.mend()
        self.assertEqual(("running", 1), (self.run_of(asked).state, len(hung.under_way)))

    def test_a_claim_in_doubt_loses_no_run(self) -> None:
        """Runs that were claimed though nobody was told begin once the disk is well, as their first attempt."""
        hung = Hung()
        self.begin(Task("hung", hung, concurrency=2))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hung", True)))
        for item in "abc":
            self.ask("hung", {"item": item})
        self.disk = "doubtful"
        self.runner.lanes["hung"].paused = False
        self.clock.advance(5.0)
        self.assertEqual([], hung.under_way)
        self.mend()
        self.assertEqual(["a", "b"], hung.items)
        self.assertEqual([1, 1], [context.attempt for context, _ in hung.under_way])

    def test_an_ending_in_doubt_is_stored_once(self) -> None:
        """An end and the next claim in one commit in doubt: neither is lost, and no attempt is counted twice."""
        hung = Hung()
        self.begin(Task("hung", hung, retry=RetryPolicy(3, Backoff((0.0,)))))
        failing = self.ask("hung", {"item": "a"})
        waiting = self.ask("hung", {"item": "b"})
        self.clock.advance(1.0)
        self.disk = "doubtful"
        hung.finish(OSError("first"))
        self.clock.advance(5.0)
        self.mend()
        self.assertEqual(["b"], hung.items)
        hung.finish()
        self.assertEqual((["a"], 2), (hung.items, hung.under_way[0][0].attempt))
        hung.finish()
        self.assertEqual(["succeeded", "succeeded"], [self.run_of(each).state for each in (failing, waiting)])

    def test_a_note_that_is_not_stored_is_stored_later(self) -> None:
        """Progress and lines of a log wait for the disk; the run goes on meanwhile."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        context, _ = hung.under_way[0]
        self.disk = "full"
        context.log("first")
        context.progress(1, 3)
        self.clock.advance(1.0)
        context.log("second")
        self.disk = "well"
        self.clock.advance(2.0)
        self.assertEqual((["first", "second"], 1.0), (self.lines_of(asked), self.run_of(asked).done))

    def test_a_step_that_is_not_stored_fails_its_run(self) -> None:
        """A step whose result cannot be stored is not done; another attempt repeats it."""
        calls: list[int] = []

        async def work(context: Context[Any]) -> None:
            await hung(context)
            await context.step("first", calls.append, context.attempt)

        hung = Hung()
        self.begin(Task("work", work, retry=RetryPolicy(2, Backoff((30.0,)))))
        asked = self.ask("work")
        self.disk = "full"
        hung.finish()
        self.mend()
        self.assertEqual("queued", self.run_of(asked).state)
        self.clock.advance(30.0)
        hung.finish()
        self.assertEqual(("succeeded", [1, 2]), (self.run_of(asked).state, calls))

    def test_a_calendar_whose_wish_is_in_doubt_asks_once(self) -> None:
        """A moment whose run is stored though nobody was told has that run alone, and it begins."""
        hung = Hung()
        self.begin(Task("hourly", hung, schedule=Cron("0 * * * *", "UTC")))
        self.clock.advance(3599.0)
        self.disk = "doubtful"
        self.clock.advance(1.0)
        self.clock.pump([1.0] * 3)
        self.disk = "well"
        self.clock.pump([10.0] * 10)
        self.assertEqual((1, 1), (len(self.all_runs()), len(hung.under_way)))
        # Forgetting old runs was tried meanwhile as well.
        self.flushLoggedErrors(CommitInDoubt)

    def test_a_store_that_closes_takes_nothing_along(self) -> None:
        """Where the database is closed under running tasks, what they had begun is there at the next start."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        hung.finish("lost")
        self.clock.advance(60.0)
        self.crash()
        hung.under_way.clear()
        self.begin(Task("hung", hung))
        hung.finish("done")
        self.assertEqual(b'"done"', bytes(self.run_of(asked).result or b""))


class Racing(TaskCase):
    """What happens while a commit is on its way."""

    def hold(self) -> None:
        self.workers[WRITER].held = True

    def release(self) -> None:
        self.workers[WRITER].release()

    def test_cancelled_between_its_claim_and_its_beginning(self) -> None:
        """A run that is cancelled while its claim is being stored begins, and is cancelled at once."""
        hung = Hung()
        self.begin(Task("hung", hung))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hung", True)))
        asked = self.ask("hung")
        self.hold()
        self.runner.lanes["hung"].paused = False
        cancelling = Deferred.fromCoroutine(self.runner.cancel(asked.run or 0))
        self.release()
        self.successResultOf(cancelling)
        self.assertEqual(("cancelled", 1), (self.run_of(asked).state, hung.cancelled))

    def test_cancelled_between_its_wish_and_its_claim(self) -> None:
        """A run that is cancelled before it is claimed never begins."""
        hung = Hung()
        self.begin(Task("hung", hung))
        self.hold()
        asking = Deferred.fromCoroutine(self.runner.ask("hung"))
        self.release()
        asked = self.successResultOf(asking)
        self.assertEqual("running", self.run_of(asked).state)
        other = self.ask("hung")
        self.hold()
        cancelling = Deferred.fromCoroutine(self.runner.cancel(other.run or 0))
        hung.finish()
        self.release()
        self.successResultOf(cancelling)
        self.assertEqual((["succeeded", "cancelled"], []), (self.states(), hung.under_way))

    def test_cancelled_while_its_failure_is_stored(self) -> None:
        """A run that would be tried again and is cancelled that very moment is not tried again."""
        for stored in (False, True):
            hung = Hung()
            name = f"hung-{stored}"
            self.begin(Task(name, hung, retry=RetryPolicy(9, Backoff((0.0,)))))
            asked = self.ask(name)
            self.hold()
            if not stored:
                # Another turn is on its way, and the ending waits for the next.
                self.runner.lanes[name].wake()
            hung.finish(OSError("no"))
            cancelling = Deferred.fromCoroutine(self.runner.cancel(asked.run or 0))
            self.release()
            self.assertEqual("cancelled", self.successResultOf(cancelling).state if stored else "cancelled")
            self.assertEqual(("cancelled", []), (self.run_of(asked).state, hung.under_way))
            self.stop()

    def test_displaced_while_its_failure_is_stored(self) -> None:
        """A run that gives way to a newer one at the moment it fails is not tried again beside it."""
        hung = Hung()
        self.begin(Task("hung", hung, overlap="cancel", retry=RetryPolicy(9, Backoff((5.0,)))))
        first = self.ask("hung", {"item": "old"})
        self.hold()
        asking = Deferred.fromCoroutine(self.runner.ask("hung", {"item": "new"}))
        hung.finish(OSError("no"))
        self.release()
        self.successResultOf(asking)
        self.assertEqual(("cancelled", ["new"]), (self.run_of(first).state, hung.items))

    def test_displaced_where_it_ends_the_moment_it_is_told(self) -> None:
        """A displaced run that swallows its cancelling and returns has succeeded, and the newer one follows."""

        async def stubborn(context: Context[Any]) -> str:
            try:
                await hung(context)
            except CancelledError:
                return "all the same"
            return "done"

        hung = Hung()
        self.begin(Task("stubborn", stubborn, overlap="cancel"))
        first, second = self.ask("stubborn"), self.ask("stubborn")
        self.assertEqual(["succeeded", "running"], [self.run_of(each).state for each in (first, second)])
        self.assertEqual(b'"all the same"', bytes(self.run_of(first).result or b""))

    def test_stopped_while_a_claim_is_stored(self) -> None:
        """Runs whose claim is being stored when the gateway stops are queued again: they were never begun."""
        hung = Hung()
        self.begin(Task("hung", hung, interrupted="stop"))
        self.successResultOf(Deferred.fromCoroutine(self.runner.pause("hung", True)))
        asked = self.ask("hung")
        self.hold()
        self.runner.lanes["hung"].paused = False
        stopping = Deferred.fromCoroutine(self.runner.stop())
        self.assertNoResult(stopping)
        self.release()
        self.successResultOf(stopping)
        run = self.run_of(asked)
        self.assertEqual(("queued", 0, []), (run.state, run.attempt, hung.under_way))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_stopped_while_an_end_is_stored(self) -> None:
        """What ended is stored before the stop is done."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.hold()
        hung.finish("in time")
        stopping = Deferred.fromCoroutine(self.runner.stop())
        self.assertNoResult(stopping)
        self.release()
        self.successResultOf(stopping)
        self.assertEqual("succeeded", self.run_of(asked).state)

    def test_stopped_while_the_disk_refuses(self) -> None:
        """A stop waits a few seconds for the disk, then leaves what it could not store to the next start."""
        hung = Hung()
        self.begin(Task("hung", hung))
        asked = self.ask("hung")
        self.disk = "full"
        hung.finish("lost")
        stopping = Deferred.fromCoroutine(self.runner.stop())
        self.assertNoResult(stopping)
        self.clock.pump([1.0] * 6)
        self.successResultOf(stopping)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.disk = "well"
        self.crash()
        self.begin(Task("hung", hung))
        hung.finish("again")
        self.assertEqual(b'"again"', bytes(self.run_of(asked).result or b""))

    def test_what_does_not_end_is_left_after_a_while(self) -> None:
        """A run that ignores the stop delays it by a few seconds; it counts as interrupted at the next start."""

        async def deaf(context: Context[Any]) -> None:
            while True:
                try:
                    await hung(context)
                except CancelledError:
                    continue

        hung = Hung()
        self.begin(Task("deaf", deaf, interrupted="stop"))
        asked = self.ask("deaf")
        self.stop()
        self.begin(Task("deaf", deaf, interrupted="stop"))
        run = self.run_of(asked)
        self.assertEqual(("interrupted", "the gateway ended while it ran"), (run.state, run.error))


class Misbehaving(TaskCase):
    """Functions that do what they should not, and what becomes of their runs."""

    def finished(self, function: Any, **more: Any) -> runs.Run:
        """Return a run of a task that ends by itself."""
        self.begin(Task("odd", function, **more))
        asked = self.ask("odd")
        self.clock.pump([0.0] * 10)
        return self.run_of(asked)

    def test_raises_before_it_first_waits(self) -> None:
        """A function that raises in the very turn in which it began has failed."""

        def raising(context: Context[Any]) -> None:
            raise SystemExit(3)

        run = self.finished(raising)
        self.assertEqual(("failed", "SystemExit: 3"), (run.state, run.error))

    def test_raises_what_cannot_be_printed(self) -> None:
        """An exception without a text has failed its run all the same."""

        class Unprintable(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text")

        def raising(context: Context[Any]) -> None:
            raise Unprintable

        run = self.finished(raising)
        self.assertEqual("failed", run.state)
        self.assertIn("Unprintable", run.error or "")

    def test_says_what_is_no_text(self) -> None:
        """Half a character in an error, a message or a line is written out; it holds up nothing."""

        async def talking(context: Context[Any]) -> None:
            context.log("line \udcff")
            context.log(cast(str, 7))
            context.progress(1, 2, cast(str, {"message": "\udcff"}))
            raise OSError("file \udcff")

        run = self.finished(talking)
        self.assertEqual(("failed", "OSError: file \\udcff"), (run.state, run.error))
        self.assertEqual("{'message': '\\udcff'}", run.message)

    def test_tells_progress_that_is_no_number(self) -> None:
        """What is no number is an error where it is said."""

        async def telling(context: Context[Any]) -> None:
            context.progress(cast(float, "half"))

        self.assertIn("ValueError", self.finished(telling).error or "")

    def test_returns_more_than_is_kept(self) -> None:
        """A result beyond the limit is an error that says so; smaller ones before and after are none."""
        self.patch(contexts, "LARGEST_RESULT", 10)

        async def large(context: Context[Any]) -> str:
            await context.step("small", lambda: "12345678")
            return "123456789"

        run = self.finished(large)
        self.assertEqual(
            ("failed", "TypeError: the result of the task has 11 bytes, and 10 at most are kept"),
            (run.state, run.error),
        )

    def test_is_cancelled_by_nobody(self) -> None:
        """A cancelling that no person and no policy wanted is a failure, and tried again as one."""

        async def cancelling(context: Context[Any]) -> None:
            waits: Deferred[None] = Deferred()
            waits.cancel()
            await waits

        run = self.finished(cancelling, retry=RetryPolicy(2, Backoff((0.0,))))
        self.assertEqual(("failed", 2), (run.state, run.attempt))
        self.assertIn("CancelledError", run.error or "")

    def test_ends_itself(self) -> None:
        """A function that cancels its own run before it first waits is cancelled where it then waits."""
        hung = Hung()

        async def selfless(context: Context[Any]) -> None:
            self.cancelling = Deferred.fromCoroutine(self.runner.cancel(context.run))
            context.log(f"cancelled: {context.cancelled}")
            await hung(context)

        self.begin(Task("selfless", selfless))
        asked = self.ask("selfless")
        self.successResultOf(self.cancelling)
        self.assertEqual(
            ("cancelled", ["cancelled: True"], 1),
            (self.run_of(asked).state, self.lines_of(asked), hung.cancelled),
        )

    def test_swallows_its_cancelling_and_goes_on(self) -> None:
        """Who goes on is not stopped; a second cancelling reaches it where it waits then."""

        async def deaf(context: Context[Any]) -> None:
            try:
                await hung(context)
            except CancelledError:
                await hung(context)

        hung = Hung()
        self.begin(Task("deaf", deaf))
        asked = self.ask("deaf")
        self.assertEqual("running", self.cancel(asked).state)
        self.assertEqual(1, len(hung.under_way))
        self.cancel(asked)
        self.assertEqual("cancelled", self.run_of(asked).state)
        self.failureResultOf(Deferred.fromCoroutine(self.runner.cancel(asked.run or 0)), NotNow)

    def test_fails_while_it_is_being_cancelled(self) -> None:
        """A function that breaks on its way out has failed, and is not tried again."""

        async def clumsy(context: Context[Any]) -> None:
            try:
                await hung(context)
            finally:
                raise ValueError("on the way out")

        hung = Hung()
        self.begin(Task("clumsy", clumsy, retry=RetryPolicy(5)))
        asked = self.ask("clumsy")
        self.cancel(asked)
        run = self.run_of(asked)
        self.assertEqual(("failed", "ValueError: on the way out"), (run.state, run.error))

    def test_logs_without_end(self) -> None:
        """Of a log too long the first lines are kept, and the last says that there were more."""

        async def talkative(context: Context[Any]) -> None:
            for number in range(5_000):
                context.log(f"{number} " + "x" * 5_000)

        run = self.finished(talkative)
        lines = self.successResultOf(self.database.read(lambda connection: lookups.lines_of(connection, run.id)))
        self.assertEqual((contexts.LINES, contexts.LONGEST_LINE), (len(lines), max(len(text) for _, text in lines)))
        self.assertEqual("more lines than 1000; the others are left out", lines[-1][1])

    def test_each_attempt_adds_to_the_log(self) -> None:
        """Lines of an attempt that a crash ended, or that a person repeats, are not written over."""

        async def work(context: Context[Any]) -> None:
            context.log(f"{name}, attempt {context.attempt}")
            await hung(context)

        hung = Hung()
        name = "before"
        self.begin(Task("work", work))
        asked = self.ask("work")
        self.clock.advance(1.0)
        self.crash()
        hung.under_way.clear()
        name = "after"
        self.begin(Task("work", work))
        hung.finish(OSError("no"))
        self.successResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)))
        hung.finish()
        self.assertEqual(["before, attempt 1", "after, attempt 1", "after, attempt 1"], self.lines_of(asked))


class Generating(TaskCase):
    """Generators, plain and asynchronous."""

    def test_a_generator_is_told_what_it_waits_for(self) -> None:
        """What a generator yields to wait for comes back as its value, or is raised where it waits."""
        hung = Hung()

        def work(context: Context[Any]) -> Generator[Any, Any, list[Any]]:
            first = yield hung(context)
            try:
                yield hung(context)
            except OSError as error:
                return [first, str(error)]
            return []

        self.begin(Task("work", work))
        asked = self.ask("work")
        hung.finish("one")
        hung.finish(OSError("two"))
        self.assertEqual(b'["one","two"]', bytes(self.run_of(asked).result or b""))

    def test_a_generator_is_cancelled_where_it_yields(self) -> None:
        """Cancelling is raised in it, so that it can put away what it has begun."""
        for kind in (self.plain, self.asynchronous):
            self.put_away: list[str] = []
            name = kind.__name__
            self.begin(Task(name, kind))
            asked = self.ask(name)
            self.cancel(asked)
            self.assertEqual(("cancelled", ["CancelledError"]), (self.run_of(asked).state, self.put_away))
            self.stop()

    def plain(self, context: Context[Any]) -> Generator[Any, Any, None]:
        try:
            for number in range(1_000):
                yield number, 1_000
        except CancelledError as error:
            self.put_away.append(type(error).__name__)
            raise

    async def asynchronous(self, context: Context[Any]) -> AsyncGenerator[Any, None]:
        try:
            for number in range(1_000):
                yield number, 1_000
        except CancelledError as error:
            self.put_away.append(type(error).__name__)
            raise

    def test_a_long_one_holds_nobody_up(self) -> None:
        """Generators take turns with each other, and with everything else."""
        steps: list[str] = []

        def long(context: Context[Any]) -> Generator[Any, Any, None]:
            for _ in range(50):
                steps.append(context.params["item"])
                yield

        async def long_too(context: Context[Any]) -> AsyncGenerator[Any, None]:
            for _ in range(50):
                steps.append(context.params["item"])
                yield None

        self.begin(Task("long", long), Task("long-too", long_too))
        asked = [self.ask("long", {"item": "a"}), self.ask("long-too", {"item": "b"})]
        self.clock.pump([0.0, 0.0])
        self.assertEqual(["succeeded", "succeeded"], [self.run_of(each).state for each in asked])
        self.assertEqual({"a", "b"}, set(steps[10:14]))
        self.assertEqual((50, 50), (steps.count("a"), steps.count("b")))

    def test_an_asynchronous_one_tells_how_far_it_is(self) -> None:
        """Its yields are its progress, and what it raises fails its run."""

        async def work(context: Context[Any]) -> AsyncGenerator[Any, None]:
            yield 1, 2, "half"
            raise KeyError("rest")

        self.begin(Task("work", work))
        asked = self.ask("work")
        self.clock.pump([0.0] * 5)
        run = self.run_of(asked)
        self.assertEqual(("failed", 1.0, 2.0, "half"), (run.state, run.done, run.total, run.message))

    def test_yields_that_say_nothing_are_refused(self) -> None:
        """What is neither progress nor something to wait for is an error that says what to yield."""

        def work(context: Context[Any]) -> Generator[Any, Any, None]:
            yield "half"

        self.begin(Task("work", work))
        asked = self.ask("work")
        self.clock.pump([0.0] * 5)
        self.assertIn("yield done, (done, total) or (done, total, message)", self.run_of(asked).error or "")


class Threaded(TaskCase):
    """Blocking functions, on threads of their own."""

    def run_to_its_end(self, asked: runs.Asked) -> runs.Run:
        self.clock.serve(lambda: self.run_of(asked).state not in runs.OPEN)
        return self.run_of(asked)

    def test_steps_progress_and_waits(self) -> None:
        """A blocking function has steps, tells its progress, and waits for what only the reactor can do."""
        self.begin(Task("work", self.blocking, thread=True))
        run = self.run_to_its_end(self.ask("work"))
        self.assertEqual(
            ("succeeded", b"[2,4]", 1.0, "first"), (run.state, bytes(run.result or b""), *self.far(run))
        )

    def far(self, run: runs.Run) -> tuple[float | None, str | None]:
        return run.done, run.message

    def blocking(self, context: Any) -> list[int]:
        first = context.step("first", lambda: 2)
        context.progress(1, 2, "first")

        async def double() -> int:
            return int(first * 2)

        return [first, context.wait(double)]

    def test_a_finished_step_is_not_repeated(self) -> None:
        """After a crash in its middle, a blocking function gets its finished steps' results."""
        calls: list[str] = []

        def begin() -> str:
            calls.append("first")
            return "one"

        def work(context: Any) -> list[str]:
            first = context.step("first", begin)
            context.wait(lambda: hung(context))
            return [first]

        hung = Hung()
        self.begin(Task("work", work, thread=True))
        asked = self.ask("work")
        self.clock.serve(lambda: hung.under_way)
        self.crash()
        dead = hung.under_way.pop()
        self.begin(Task("work", work, thread=True))
        self.clock.serve(lambda: hung.under_way)
        hung.finish()
        run = self.run_to_its_end(asked)
        self.assertEqual((b'["one"]', ["first"]), (bytes(run.result or b""), calls))
        dead[1].callback(None)

    def test_its_cancelling_is_told_and_its_result_kept(self) -> None:
        """Nothing can stop it: people read why it goes on, and what it returns in the end is kept."""
        hung = Hung()

        def work(context: Any) -> bool:
            context._block(lambda: hung(context))
            return bool(context.cancelled)

        self.begin(Task("work", work, thread=True))
        asked = self.ask("work")
        self.clock.serve(lambda: hung.under_way)
        self.assertEqual("running", self.cancel(asked).state)
        self.clock.advance(1.0)
        self.assertEqual(
            "cancelled; a blocking function cannot be stopped, it ends by itself", self.run_of(asked).message
        )
        hung.finish()
        run = self.run_to_its_end(asked)
        self.assertEqual(("succeeded", b"true"), (run.state, bytes(run.result or b"")))

    def test_cancelling_reaches_what_it_waits_for(self) -> None:
        """What it waits for on the reactor's thread is cancelled, and so it ends soon."""
        hung = Hung()

        def work(context: Any) -> None:
            context.wait(lambda: hung(context))

        self.begin(Task("work", work, thread=True, timeout=5.0))
        asked = self.ask("work")
        self.clock.serve(lambda: hung.under_way)
        self.clock.advance(5.0)
        run = self.run_to_its_end(asked)
        self.assertEqual(("failed", "TimeoutError: not done within 5 s", 1), (run.state, run.error, hung.cancelled))

    def test_a_step_that_is_done_is_kept_though_it_is_to_end(self) -> None:
        """A run that is cancelled in a step keeps its result; repeated by a person, it goes on behind it."""
        calls: list[str] = []

        def first() -> str:
            calls.append("first")
            self.clock.callFromThread(lambda: self.cancel(asked))
            self.clock.callFromThread(go_on.callback, None)
            return "one"

        def work(context: Any) -> str:
            context.wait(lambda: begun)
            result = context.step("first", first)
            context._block(lambda: go_on)
            context.check()
            return str(result)

        begun: Deferred[None] = Deferred()
        go_on: Deferred[None] = Deferred()
        self.begin(Task("work", work, thread=True))
        asked = self.ask("work")
        begun.callback(None)
        self.assertEqual("cancelled", self.run_to_its_end(asked).state)
        begun, go_on = Deferred(), Deferred()
        begun.callback(None)
        go_on.callback(None)
        self.successResultOf(Deferred.fromCoroutine(self.runner.retry(asked.run or 0)))
        self.assertEqual(("succeeded", ["first"]), (self.run_to_its_end(asked).state, calls))

    def test_a_blocking_generator_ends_where_it_yields(self) -> None:
        """A generator on a thread tells its progress by its yields, and is cancelled at the next."""
        hung = Hung()

        def work(context: Any) -> Generator[Any, Any, None]:
            yield 1, 2
            context._block(lambda: hung(context))
            try:
                yield 2, 2
            except Cancelled:
                context.log("put away")
                raise

        self.begin(Task("work", work, thread=True))
        asked = self.ask("work")
        self.clock.serve(lambda: hung.under_way)
        self.cancel(asked)
        hung.finish()
        self.assertEqual("cancelled", self.run_to_its_end(asked).state)
        self.assertEqual(["put away"], self.lines_of(asked))

    def test_a_coroutine_function_does_not_block(self) -> None:
        """A coroutine function that is called on a thread is an error that says so, and is not left hanging."""

        async def work(context: Any) -> None:
            """Do nothing."""

        self.begin(Task("work", work, thread=True))
        self.assertIn("a plain function", self.run_to_its_end(self.ask("work")).error or "")
