"""A process with tasks is killed in every state of theirs: no run is lost or doubled, no recorded step repeated."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from random import Random

import pytest
from tests.rig.forked import Nursery
from tests.rig.quick import Quick
from tests.rig.tasks_that_die import judge
from twisted.trial.unittest import SynchronousTestCase

DEADLINE = 120.0
"""Seconds that a process may take on a busy machine."""
WISHES = 12


class TaskDeaths(SynchronousTestCase):
    """Processes over one database, one after the other."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def start(self, wishes: int, *death: str) -> Quick:
        """Start one."""
        with (self.directory / "told").open("wb") as told:
            process = Quick(
                self.nursery.socket,
                [str(self.directory), str(wishes), *death],
                self.directory,
                os.environ,
                (0, 1, told.fileno()),
                "tests.rig.tasks_that_die",
            )
        self.addCleanup(process.kill)
        return process

    def ended(self, process: Quick) -> tuple[int, str]:
        """Wait for its end; returns its exit code and what it said."""
        code = process.wait(DEADLINE)
        return code, (self.directory / "told").read_text()

    def is_kept(self, wishes: int = WISHES) -> None:
        """Let a last one come to its end, and judge."""
        self.assertEqual((0, ""), self.ended(self.start(wishes)))
        self.assertEqual([], judge(self.directory, wishes))

    def dies_at(self, *points: str, passage: int = 5) -> None:
        """Let one process after the other die at its point, and judge in the end."""
        for point in points:
            process = self.start(WISHES, point, str(passage))
            self.assertEqual((-signal.SIGKILL, f"killed at {point}\n"), self.ended(process))
        self.is_kept()


class AtNamedPoints(TaskDeaths):
    """Between a wish and the end of its run."""

    def test_while_a_wish_is_stored(self) -> None:
        """A wish that was acknowledged is there; one that was stored and not acknowledged is not stored twice."""
        self.dies_at("ask.inside", "ask.before-commit", "ask.after-commit")

    def test_while_a_run_is_claimed(self) -> None:
        """A run is queued or running, nothing between; one that was claimed and not begun is begun."""
        self.dies_at("claim.inside", "claim.before-commit", "claim.after-commit", passage=2)

    def test_while_a_function_runs(self) -> None:
        """A run in whose middle the process dies is begun again."""
        self.dies_at("function.begun")

    def test_in_a_step(self) -> None:
        """A step that was done and not recorded may be repeated; the run comes to its end."""
        self.dies_at("step.done", "keep_step.inside", "keep_step.before-commit")

    def test_behind_a_step(self) -> None:
        """A step is not repeated once its record is committed, though its function was never told."""
        self.dies_at("keep_step.after-commit", "step.kept")

    def test_in_a_step_on_a_thread(self) -> None:
        """A blocking function's steps are kept as well."""
        self.dies_at("thread.step.done", "keep_step.after-commit", passage=3)

    def test_between_a_result_and_its_commit(self) -> None:
        """A run whose function has returned is done again from its recorded steps until its end is stored."""
        self.dies_at("function.returned", "end.inside", "end.before-commit")

    def test_with_a_result_that_nobody_heard_of(self) -> None:
        """A run whose end is committed is not run again."""
        self.dies_at("end.after-commit")

    def test_before_it_is_tried_again(self) -> None:
        """A run that failed and waits for another attempt gets it from the next process."""
        self.dies_at("function.failed", "end.after-commit", passage=2)

    def test_while_a_crash_is_recovered_from(self) -> None:
        """A process that dies while it treats what another has left leaves it to the next."""
        self.dies_at("function.begun", "recover.inside", "recover.before-commit", "recover.after-commit", passage=1)

    def test_when_all_is_done(self) -> None:
        """What has ended stays as it is."""
        self.dies_at("stop", passage=1)


class AtRandom(TaskDeaths):
    """Whatever the process was doing. ``CRASH_SEED`` in the environment repeats a seed."""

    def test_many_times(self) -> None:
        """Killed again and again at moments that nobody chose, it comes to the same in the end."""
        seed = int(os.environ.get("CRASH_SEED") or int.from_bytes(os.urandom(4)))
        print(f"CRASH_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
        random = Random(seed)
        for _ in range(8):
            process = self.start(150)
            with contextlib.suppress(TimeoutError):
                process.wait(random.uniform(0.01, 1.2))
            process.kill()
        self.is_kept(150)
