"""The statements on runs: what is claimed in which order, what is stored once, what is left after a crash."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.backoff import Backoff
from lineside.store.migrations import migrate
from lineside.tasks import lookups, recovery, runs
from lineside.tasks.calendar import SECOND
from lineside.tasks.runs import Ask, Asked, Claimed, Ending, Note, State
from lineside.tasks.tables import TASKS
from lineside.tasks.task import Overlap, RetryPolicy, Task

HOUR = 3600 * SECOND
NOW = 1_000 * HOUR


def nothing(context: object) -> None:
    """Stand in for a task's function, which statements never call."""


class RunsCase(SynchronousTestCase):
    """On a database in memory."""

    task = Task("work", nothing, key="item")

    def setUp(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(self.connection.close)
        migrate(self.connection, (TASKS,))
        self.now = NOW

    def ask(self, task: Task | None = None, params: Mapping[str, Any] | None = None, **more: Any) -> Asked:
        wish = Ask(task or self.task, params or {}, "program", **more)
        return runs.ask(self.connection, wish, self.now, self.now)

    def ask_for(self, *items: str | None) -> list[int]:
        """Ask for a run for each item."""
        return [self.ask(params={} if item is None else {"item": item}).run or 0 for item in items]

    def claim(self, limit: int = 100, *busy: str) -> Claimed:
        return runs.claim(self.connection, "work", limit, busy, self.now, self.now)

    def claimed(self, limit: int = 100, *busy: str) -> list[int]:
        return [taken.run.id for taken in self.claim(limit, *busy).runs]

    def all_claimed(self, limit: int = 100, *busy: str) -> list[int]:
        """Claim until nothing more is there."""
        taken = list[int]()
        items = list(busy)
        while True:
            claimed = self.claim(limit - len(taken), *items)
            taken += [each.run.id for each in claimed.runs]
            items += [each.run.key for each in claimed.runs if each.run.key is not None]
            if not claimed.more:
                return taken

    def end(self, *endings: Ending) -> None:
        runs.end(self.connection, endings)

    def state(self, run: int) -> State | None:
        found = runs.get(self.connection, run)
        return None if found is None else found.state


class Claiming(RunsCase):
    """Which runs may begin."""

    def test_the_longest_due_first(self) -> None:
        """Runs begin in the order in which they are due, then in that in which they were asked for."""
        late, early, also_early = (self.ask(delay=delay).run for delay in (2.0, 1.0, 1.0))
        self.now += 5 * SECOND
        self.assertEqual([early, also_early, late], self.claimed())

    def test_says_when_the_next_is_due(self) -> None:
        """What is not due yet is left, and its moment told, however many others could begin."""
        self.ask()
        self.ask(delay=7.0)
        self.assertEqual(NOW + 7 * SECOND, self.claim().next_due)

    def test_of_an_item_one(self) -> None:
        """Of an item whose run is under way, or taken just now, none begins."""
        a, _, b, _, none = self.ask_for("a", "a", "b", "busy", None)
        self.assertEqual([a, b, none], self.claimed(100, "busy"))

    def test_an_item_with_many_runs_holds_up_no_other(self) -> None:
        """Behind ten thousand runs of one item, those of others are found: nobody starves."""
        self.ask_for(*["a"] * 10_000)
        others = self.ask_for("b", "c", None)
        self.assertEqual([1, *others], self.all_claimed())
        self.assertEqual([], self.claimed(100, "a", "b", "c"))
        self.end(Ending(1, "succeeded", NOW, attempt=1))
        self.assertEqual([2], self.claimed(100, "b", "c"))

    def test_what_was_parked_comes_back(self) -> None:
        """Whatever becomes of a run, the item's next one follows: the longest due of them."""
        first, second, third, fourth = self.ask_for("a", "a", "a", "a")
        self.assertEqual([first], self.claimed())
        self.end(Ending(first, "queued", NOW, NOW + HOUR, HOUR, attempt=1))
        self.assertEqual([second], self.claimed())
        self.end(Ending(second, "failed", NOW, attempt=1))
        runs.cancel_queued(self.connection, third, NOW, "no more")
        self.assertEqual([fourth], self.claimed())
        self.now += HOUR
        self.assertEqual([], self.claimed(100, "a"))
        recovery.recover(self.connection, Task("work", nothing, interrupted="stop"), self.now, self.now)
        self.assertEqual(("interrupted", [first]), (self.state(fourth), self.claimed()))

    @given(
        st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 4)), max_size=30),
        st.integers(0, 8),
        st.sets(st.sampled_from("abc")),
    )
    def test_as_a_list_would_be_gone_through(
        self, wishes: list[tuple[str | None, int]], limit: int, busy: set[str]
    ) -> None:
        """Whatever waits, what is claimed is what a person would take who goes through the list by hand."""
        self.patch(runs, "PARKED", 2)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as self.connection:
            migrate(self.connection, (TASKS,))
            self.now = NOW
            waiting = []
            for item, delay in wishes:
                asked = self.ask(params={} if item is None else {"item": item}, delay=float(delay))
                waiting.append((NOW + delay * SECOND, asked.run, item))
            self.now = NOW + 2 * SECOND
            taken = list[int | None]()
            items = set(busy)
            for due, run, item in sorted(waiting, key=lambda one: one[:2]):
                if due > self.now or len(taken) == limit:
                    break
                if item in items:
                    continue
                taken.append(run)
                if item is not None:
                    items.add(item)
            self.assertEqual(taken, self.all_claimed(limit, *busy))

    def test_by_an_index(self) -> None:
        """What is done for each run, and all the time, goes through no table."""
        statements = list[str]()
        self.connection.set_trace_callback(statements.append)
        keyed = Task("work", nothing, key="item", unique_for=60.0, overlap="skip", interrupted="stop")
        self.ask(keyed, {"item": "a"}, occasion="once")
        self.ask(Task("work", nothing, overlap="cancel"))
        self.claim()
        runs.cancel_queued(self.connection, 2, NOW, "")
        runs.release(self.connection, "work", set())
        runs.prune(self.connection, "work", NOW, NOW, 10)
        recovery.recover(self.connection, keyed, NOW, NOW)
        runs.queued(self.connection, "work")
        runs.tasks(self.connection)
        lookups.page(self.connection, task="work")
        lookups.page(self.connection, task="work", states=["failed"])
        lookups.page(self.connection, states=["failed"])
        self.connection.set_trace_callback(None)
        planned = 0
        for statement in {each for each in statements if each.startswith(("SELECT", "UPDATE", "DELETE"))}:
            for *_, step in self.connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                planned += 1
                self.assertNotRegex(step, r"SCAN task_", statement)
                self.assertNotRegex(step, "USE TEMP B-TREE FOR ORDER BY", statement)
                if "ended_ns <" in statement:
                    # Many may be too old to be shown and too young for a promise.
                    self.assertIn("COVERING INDEX task_run_ended", step)
        self.assertGreater(planned, 15)


class StoringTwice(RunsCase):
    """A commit of which nobody knows is done again: nothing may change by that."""

    def test_an_ending_counts_once(self) -> None:
        """An attempt that is not to count is taken off once, however often that is stored."""
        (run,) = self.ask_for("a")
        self.claim()
        back = Ending(run, "queued", NOW, NOW, uncounted=True, attempt=1)
        self.end(back)
        self.end(back)
        found = runs.get(self.connection, run)
        assert found is not None
        self.assertEqual(("queued", 0), (found.state, found.attempt))

    def test_an_ending_undoes_nothing_that_came_after(self) -> None:
        """What a person cancelled meanwhile stays so, and another attempt goes on."""
        cancelled, again = self.ask_for("a", "b")
        self.claim()
        endings = [Ending(run, "queued", NOW, NOW, attempt=1) for run in (cancelled, again)]
        self.end(*endings)
        runs.cancel_queued(self.connection, cancelled, NOW, "no more")
        self.assertEqual([again], self.claimed())
        self.end(*endings)
        self.assertEqual(("cancelled", "running"), (self.state(cancelled), self.state(again)))

    def test_what_nobody_has_begun_is_released(self) -> None:
        """Runs that were claimed by a commit of which nobody heard are queued again, as if it had not been."""
        known, lost, ended = self.ask_for("a", "b", "c")
        self.claim()
        self.assertEqual(1, runs.release(self.connection, "work", {(known, 1), (ended, 1)}))
        self.assertEqual([lost], [taken.run.id for taken in self.claim().runs if taken.run.attempt == 1])

    def test_an_attempt_that_ended_is_not_the_one_that_was_lost(self) -> None:
        """Where an attempt's end and the next one's claim were in one such commit, only the claim is taken back."""
        (run,) = self.ask_for("a")
        self.claim()
        ending = Ending(run, "queued", NOW, NOW, error="first", attempt=1)
        self.end(ending)
        self.claim()
        runs.release(self.connection, "work", {(run, 1)})
        self.end(ending)
        found = runs.get(self.connection, run)
        assert found is not None
        self.assertEqual(("queued", 1), (found.state, found.attempt))

    def test_lines_are_kept_once(self) -> None:
        """A line that is stored twice is there once."""
        (run,) = self.ask_for("a")
        note = Note(run, 1.0, None, "half", ((1, NOW, "first"), (2, NOW, "second")))
        runs.note(self.connection, [note, note])
        self.assertEqual(["first", "second"], [text for _, text in lookups.lines_of(self.connection, run)])


class AfterTheClockWasSet(RunsCase):
    """A process dies, and the next one begins at another time."""

    def test_what_waits_goes_with_the_clock(self) -> None:
        """A clock set forward while the process ran makes nothing due sooner, one set back nothing later."""
        for ahead in HOUR * 24 * 365, -HOUR * 24:
            run = self.ask(Task("work", nothing, unique_for=600.0), {"ahead": ahead}, delay=60.0).run or 0
            recovery.went_ahead(self.connection, ahead)
            recovery.catch_up_with_clock(self.connection, NOW + ahead)
            found = runs.get(self.connection, run)
            assert found is not None
            self.assertEqual(NOW + ahead + 60 * SECOND, found.due_ns)
            self.now = NOW + ahead + 599 * SECOND
            asked = self.ask(Task("work", nothing, unique_for=600.0), {"ahead": ahead})
            self.assertEqual("repeated", asked.outcome)
            recovery.catch_up_with_clock(self.connection, NOW + ahead)
            self.assertEqual(found.due_ns, (runs.get(self.connection, run) or found).due_ns)
            self.now = NOW

    def test_nothing_waits_longer_than_it_was_to(self) -> None:
        """Where the clock was wrong until nobody knows when, what waits does so from now on, and not for years."""
        task = Task("work", nothing, unique_for=60.0, retry=RetryPolicy(3, Backoff((30.0,))))
        self.now = NOW + 24 * 365 * HOUR
        at_once, delayed, failed = (self.ask(task, {"n": n}, delay=d).run or 0 for n, d in enumerate((0, 9.0, 0)))
        self.connection.execute("UPDATE task_run SET state = 'running', attempt = 1 WHERE id = ?", (failed,))
        self.end(Ending(failed, "queued", self.now, self.now + 30 * SECOND, 30 * SECOND))
        recovery.recover(self.connection, task, NOW, NOW)
        due = [(runs.get(self.connection, run) or self.fail()).due_ns for run in (at_once, delayed, failed)]
        self.assertEqual([NOW, NOW + 9 * SECOND, NOW + 30 * SECOND], due)
        self.connection.execute("UPDATE task_run SET state = 'succeeded'")
        recovery.recover(self.connection, task, NOW, NOW)
        self.now = NOW + 61 * SECOND
        self.assertEqual("queued", self.ask(task, {"n": 0}).outcome)


class Forgetting(RunsCase):
    """What is old goes."""

    def finished(self, task: Task, count: int, **more: Any) -> list[int]:
        """Return runs that have ended, each with a step and a line."""
        found = []
        for number in range(count):
            run = self.ask(task, {"n": number}, **more).run or 0
            self.claim()
            runs.keep_step(self.connection, run, "first", b"1", self.now)
            runs.note(self.connection, [Note(run, 1, 1, None, ((1, self.now, "line"),))])
            self.end(Ending(run, "succeeded", self.now, result=b"1", attempt=1))
            found.append(run)
        return found

    def rows(self, table: str) -> int:
        (count,) = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def prune(self, before: int, most: int = 100) -> int:
        return runs.prune(self.connection, "work", before, self.now, most)

    def test_steps_and_lines_go_along(self) -> None:
        """With a run go its steps and its log, and nothing of another's."""
        self.finished(Task("work", nothing), 2)
        self.now += HOUR
        (young,) = self.finished(Task("work", nothing), 1)
        self.assertEqual(2, self.prune(self.now))
        self.assertEqual([1, 1, 1], [self.rows(table) for table in ("task_run", "task_step", "task_line")])
        self.assertEqual("succeeded", self.state(young))

    def test_no_more_at_a_time_than_is_said(self) -> None:
        """The oldest go first, a few at a time."""
        self.finished(Task("work", nothing), 5)
        self.assertEqual([3, 2, 0], [self.prune(self.now + 1, 3) for _ in range(3)])

    def test_not_what_a_promise_needs(self) -> None:
        """Within ``unique_for`` a run is kept, old as it may be; and so is whatever has not ended."""
        once = Task("work", nothing, unique_for=2 * 3600.0)
        self.finished(once, 1)
        self.ask(once, {"n": "waits"})
        self.now += HOUR
        self.assertEqual(0, self.prune(self.now))
        self.assertEqual("repeated", self.ask(once, {"n": 0}).outcome)
        self.now += HOUR
        self.assertEqual(1, self.prune(self.now))
        self.assertEqual("queued", self.ask(once, {"n": 0}).outcome)


class Overlapping(RunsCase):
    """``overlap``, by ``key`` and ``concurrency``: what a wish becomes while others have not ended."""

    def outcomes(self, task: Task, *items: str) -> list[str]:
        outcomes = []
        for item in items:
            asked = self.ask(task, {"item": item})
            outcomes.append(asked.outcome + "".join(f"-{run}" for run in asked.displaced))
        return outcomes

    def test_by_the_table(self) -> None:
        """Skip and cancel look at the item where there are keys, and else at whether there is room."""
        for overlap, key, concurrency, expected in (
            ("queue", None, 1, ["queued"] * 4),
            ("queue", "item", 2, ["queued"] * 4),
            ("skip", None, 1, ["queued", "skipped", "skipped", "skipped"]),
            ("skip", None, 2, ["queued", "queued", "skipped", "skipped"]),
            ("skip", "item", 1, ["queued", "skipped", "queued", "skipped"]),
            ("skip", "item", 3, ["queued", "skipped", "queued", "skipped"]),
            ("cancel", None, 1, ["queued", "queued-1", "queued-1-2", "queued-1-2-3"]),
            ("cancel", None, 2, ["queued", "queued", "queued-1", "queued-1-2"]),
            ("cancel", "item", 3, ["queued", "queued-1", "queued", "queued-3"]),
        ):
            self.setUp()
            task = Task("work", nothing, key=key, overlap=cast(Overlap, overlap), concurrency=concurrency)
            self.assertEqual(expected, self.outcomes(task, "a", "a", "b", "b"), (overlap, key, concurrency))

    def test_by_the_state(self) -> None:
        """Only what has not ended is in the way."""
        for state in ("succeeded", "failed", "cancelled", "interrupted"):
            self.setUp()
            task = Task("work", nothing, overlap="skip")
            self.ask(task)
            self.connection.execute("UPDATE task_run SET state = ?", (state,))
            self.assertEqual("queued", self.ask(task).outcome)


class OnceInATime(RunsCase):
    """``unique_for``."""

    def test_by_parameters_or_by_key(self) -> None:
        """The same is what has the same parameters, in whatever order; where there are keys, the same key."""
        for key, other in ((None, {"b": 2, "a": 1}), ("a", {"a": 1, "b": 3})):
            task = Task(f"by {key}", nothing, key=key, unique_for=60.0)
            first = self.ask(task, {"a": 1, "b": 2})
            self.assertEqual(Asked(first.run, "repeated"), self.ask(task, other))
            self.assertEqual("queued", self.ask(task, {"a": 2, "b": 2}).outcome)

    def test_whatever_became_of_the_first(self) -> None:
        """It counts from the wish, and a delay on top of it; a run that failed or was cancelled counts as well."""
        task = Task("work", nothing, unique_for=60.0)
        first = self.ask(task, delay=100.0)
        runs.cancel_queued(self.connection, first.run or 0, self.now, "")
        self.now += 160 * SECOND - 1
        self.assertEqual("repeated", self.ask(task).outcome)
        self.now += 1
        self.assertEqual("queued", self.ask(task).outcome)
