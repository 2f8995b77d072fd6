"""The benchmark of tasks: each run counts once, and a reactor that is away is late at every moment meanwhile."""

from __future__ import annotations

import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Sides(SynchronousTestCase):
    """What all of them share, and Lineside's own."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = tmp_path
        monkeypatch.syspath_prepend(BENCHMARKS)
        monkeypatch.syspath_prepend(BENCHMARKS / "tasks")

    def script(self, name: str) -> dict[str, Any]:
        return runpy.run_path(str(BENCHMARKS / name))

    def test_a_run_that_is_missing_or_begun_twice_ends_it(self) -> None:
        sheet = self.script("tasks/sheet.py")["Sheet"](str(self.directory / "sheet"))
        sheet.sign(1)
        self.assertRaisesRegex(SystemExit, "of 2 runs 1 were begun", sheet.begun, 2)
        began = time.monotonic_ns()
        sheet.sign(0)
        self.assertEqual(sheet.signed(), 2)
        first, second = sheet.begun(2)
        self.assertLessEqual(second, began)
        self.assertLessEqual(began, first)
        sheet.sign(1)
        self.assertRaisesRegex(SystemExit, "run 1 was begun twice", sheet.begun, 2)

    def test_a_reactor_that_is_away_is_late_for_each_moment_meanwhile(self) -> None:
        clock = Clock()
        lag = self.script("tasks/lineside_side.py")["Lag"](clock)
        lag.begin()
        clock.advance(lag.EVERY)
        clock.advance(0.0201)
        late = lag.late
        self.assertEqual(len(late), 11)
        self.assertAlmostEqual(late[0], 0.0)
        self.assertAlmostEqual(max(late), 0.0181)
        self.assertEqual(lag.end()["max_ms"], 18.1)

    def test_every_part_does_each_run_once(self) -> None:
        benchmark = self.script("durable_tasks.py")
        lineside = benchmark["SIDES"]["lineside"]
        for part in ("single", "bulk", "execute", "through"):
            self.assertGreater(benchmark["measure"](lineside, part, 150, self.directory)["per_second"], 0)
        for part in ("now", "later"):
            late = benchmark["measure"](lineside, part, 20, self.directory)
            # Nothing begins before it is due.
            self.assertTrue(0 < late["p50_ms"] <= late["p99_ms"] <= late["max_ms"])

    def test_wrong_use(self) -> None:
        """A slip in an option is told, with exit 2."""
        for words, told in (
            (["--parts", "sleep"], "choose of single,"),
            (["--sides", "cron"], "choose of lineside,"),
            (["--share", "0"], "--share must be above 0"),
        ):
            done = subprocess.run(
                [sys.executable, str(BENCHMARKS / "durable_tasks.py"), *words],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn(told, done.stderr)
