"""What the tests run beside the gateway is installed where that can be done, and never in the way elsewhere."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import test_servers
from twisted.trial.unittest import SynchronousTestCase


class Installing(SynchronousTestCase):
    """With a package manager that only says what it was asked."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def test_says_nothing_when_all_is_there(self) -> None:
        """It costs a run of the tests no line."""
        self.patch(test_servers, "PROGRAMS", {"python": ("python3", "sh")})
        said = StringIO()
        with redirect_stdout(said):
            test_servers.main()
        self.assertEqual(said.getvalue(), "")

    def test_a_program_is_found_on_the_path_or_by_its_place(self) -> None:
        """Debian keeps some of them elsewhere, in a directory named for the version."""
        (self.directory / "15" / "bin").mkdir(parents=True)
        (self.directory / "15" / "bin" / "postgres").touch()
        self.assertTrue(test_servers.there(["nothing-like-this", f"{self.directory}/*/bin/postgres"]))
        self.assertFalse(test_servers.there([f"{self.directory}/*/bin/mariadbd"]))

    def test_asks_for_what_is_missing_alone(self) -> None:
        """Its lists are brought up to date first; that this failed hinders nothing."""
        commands: list[list[str]] = []

        def run(command: list[str], seconds: float) -> str | None:
            commands.append(command)
            return "no network" if command[1] == "update" else None

        self.assertIsNone(test_servers.install(["chromium"], run))
        self.assertEqual([command[1] for command in commands], ["update", "install"])
        self.assertEqual(commands[1][-2:], ["--no-install-recommends", "chromium"])

    def test_without_a_network_it_says_why_and_goes_on(self) -> None:
        """The line names what stays missing, and what becomes of the tests."""
        self.assertEqual(test_servers.install(["chromium"], lambda command, seconds: "no network"), "no network")
        self.patch(test_servers, "PROGRAMS", {"no-such-package": ("no-such-program",)})
        self.patch(test_servers, "obstacle", lambda: "only root installs packages")
        said = StringIO()
        with redirect_stdout(said):
            test_servers.main()
        self.assertEqual(
            said.getvalue(),
            "not installed: no-such-package (only root installs packages); tests that need them are skipped\n",
        )

    def test_no_service_starts_meanwhile(self) -> None:
        """A policy says so, and is gone afterwards; one that was there stays as it was."""
        policy = self.directory / "policy-rc.d"
        with test_servers.quiet_services(policy):
            self.assertEqual(policy.read_text(), test_servers.NO_SERVICE)
            self.assertTrue(os.access(policy, os.X_OK))
        self.assertFalse(policy.exists())
        policy.write_text("mine")
        with test_servers.quiet_services(policy):
            self.assertEqual(policy.read_text(), "mine")
        self.assertEqual(policy.read_text(), "mine")

    def test_a_command_that_fails_or_hangs_is_one_line(self) -> None:
        """Whatever it said, the last line of it."""
        self.assertIsNone(test_servers.run_quietly(["true"], 10))
        self.assertEqual(test_servers.run_quietly(["sh", "-c", "echo a; echo b >&2; exit 3"], 10), "b")
        self.assertEqual(test_servers.run_quietly(["sh", "-c", "exit 3"], 10), "sh -c exited with 3")
        self.assertIn("took more than", test_servers.run_quietly(["sleep", "10"], 0.05) or "")
        self.assertIn("no-such-command", test_servers.run_quietly(["no-such-command"], 10) or "")
