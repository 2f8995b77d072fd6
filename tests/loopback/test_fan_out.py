"""The fan-out benchmark's own parts: what it counts is what the gateway delivered."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class FanOut(SynchronousTestCase):
    """The product as it is measured."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        self.patch(sys, "path", [str(BENCHMARKS), *sys.path])
        self.benchmark: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "fan_out.py"))

    def measure(self, name: str, **more: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.benchmark["measure"](name, 5, 3, 0.3, self.directory, **more)
        return result

    def test_every_delivery_is_counted_once(self) -> None:
        """The load ends only when each client has all that was published, and fails if it has more."""
        (step,) = self.measure("lineside", in_flight=2)["steps"]
        self.assertGreater(step["per_second"], 0)
        self.assertEqual({}, step["percentiles_ms"])

    def test_a_pace_is_kept_from_line_to_client(self) -> None:
        """Each of the devices' lines arrives at each client, and how late it was is known."""
        steps = self.measure("gateway", rates=[50.0, 100.0])["steps"]
        self.assertEqual([50.0, 100.0], [step["rate"] for step in steps])
        for step in steps:
            late = step["percentiles_ms"]
            self.assertTrue(0 < late["p50"] <= late["p99"] <= late["max"])

    def test_a_message_that_is_refused_ends_it(self) -> None:
        """Nothing is counted that was not published."""
        viewer = jwt.encode({"sub": "v", "meta": {"role": "viewer"}}, self.benchmark["JWT_KEY"], algorithm="HS256")
        self.benchmark["measure"].__globals__["TOKEN"] = viewer
        with self.assertRaisesRegex(self.benchmark["Unfit"], "lineside: the server refused a message"):
            self.measure("lineside")

    def test_without_node(self) -> None:
        """One line says what is missing, and the exit code is 1."""
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / "fan_out.py")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
            env={**os.environ, "PATH": str(self.directory)},
        )
        self.assertEqual(
            (1, "fan_out: socket.io needs Node.js with npm: apt-get install nodejs npm\n"),
            (done.returncode, done.stderr),
        )
