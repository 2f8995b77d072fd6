"""What scans listeners is installed as it is pinned, and never in the way where it cannot be."""

from __future__ import annotations

import subprocess
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import tls_scanner
from twisted.trial.unittest import SynchronousTestCase


class Installing(SynchronousTestCase):
    """With a uv that only says what it was asked."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.place, self.pins = tmp_path / "sslyze", tmp_path / "pins.txt"
        self.place.mkdir()
        self.pins.write_text("sslyze==1 --hash=sha256:0\n", encoding="utf-8")

    def setUp(self) -> None:
        self.commands: list[list[str]] = []
        self.answer = subprocess.CompletedProcess[str]([], 0, "", "")
        self.patch(subprocess, "run", self.run_quietly)

    def run_quietly(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        return self.answer

    def test_by_hash(self) -> None:
        """Nothing is taken that the pins do not name; afterwards it is there, until they change."""
        self.assertFalse(tls_scanner.is_there(self.place, self.pins))
        self.assertIsNone(tls_scanner.install(self.place, self.pins))
        self.assertIn("--require-hashes", self.commands[-1])
        self.assertTrue(tls_scanner.is_there(self.place, self.pins))
        self.pins.write_text("sslyze==2 --hash=sha256:0\n", encoding="utf-8")
        self.assertFalse(tls_scanner.is_there(self.place, self.pins))

    def test_where_there_is_no_index(self) -> None:
        """The last line that uv said is told, and the tests go on."""
        self.answer = subprocess.CompletedProcess([], 2, "", "error: x\n  no route to the index\n")
        self.patch(tls_scanner, "is_there", lambda: False)
        self.patch(tls_scanner, "install", lambda install=tls_scanner.install: install(self.place, self.pins))
        said = StringIO()
        with redirect_stdout(said):
            tls_scanner.main()
        self.assertIn(
            "not installed: sslyze (no route to the index); tests that need it are skipped", said.getvalue()
        )
        self.assertEqual(1, len(self.commands))

    def test_the_pins_are_those_of_a_scanner(self) -> None:
        """Each with its hashes."""
        text = tls_scanner.PINS.read_text(encoding="utf-8")
        self.assertRegex(text, r"(?m)^sslyze==")
        for pin in text.replace("\\\n", "").splitlines():
            self.assertIn("--hash=sha256:", pin)
