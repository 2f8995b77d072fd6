"""The delivery benchmark's own parts: what it counts is what the stand-in holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

RUN = """
import frappe_delivery as bench
from delivery.plant import Load, make_templates
from pathlib import Path
from sys import argv
bench.LEARNT_AFTER = bench.STEADY_AFTER = 0.1
templates = make_templates(Path.cwd(), int(argv[1]))
for by, batch in (("agent", 1), ("target", 5), ("gateway", 1), ("fixed", 5)):
    figures = bench.measure(bench.Case(by, Load(by, 2, batch)), templates, 0.5, Path.cwd())
    print(by, figures.per_second > 0 and figures.cpu_ms > 0)
"""


class Measured(SynchronousTestCase):
    """One short run of each kind of load."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def run_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n{RUN}", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.directory,
        )

    def test_each_load_delivers_and_its_books_are_right(self) -> None:
        """Every kind of load inserts, and what it counted is what the stand-in holds: else there is no figure."""
        done = self.run_it("4000")
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout, "agent True\ntarget True\ngateway True\nfixed True\n")

    def test_a_wrong_length_is_wrong_use(self) -> None:
        """A run too short to mean anything is refused with exit code 2 and the bounds."""
        command = [sys.executable, str(BENCHMARKS / "frappe_delivery.py"), "--seconds", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("from 1 to 60", done.stderr)
