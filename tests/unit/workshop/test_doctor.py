"""What the doctor looks at, where something is missing."""

from __future__ import annotations

import os
import socket
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lineside.workshop import doctor


class Doctor(SynchronousTestCase):
    """Each finding has a remedy where there is something to do."""

    def test_all_is_there_where_the_tests_run(self) -> None:
        """Each thing once, and nothing that is needed is missing."""
        found = list(doctor.examined(Path.cwd()))
        self.assertEqual([], [one for one in found if one.state == "missing"])
        self.assertEqual(len(found), len({one.name for one in found}))
        for name in ("Python", "Twisted", "OpenSSL", "bcrypt", "loopback", "folder", "clock", "curl", "dig"):
            self.assertIn(name, {one.name for one in found})

    def test_whatever_is_not_ok_has_a_remedy(self) -> None:
        """A learner is never left with a mere no."""
        self.patch(os, "environ", {"PATH": ""})
        found = list(doctor.examined(Path.cwd()))
        self.assertEqual({"ok", "optional"}, {one.state for one in found})
        for one in found:
            self.assertEqual(one.state == "ok", one.remedy is None, one)

    def test_an_old_python(self) -> None:
        """3.10 is too old, 3.11 is not."""
        self.assertEqual("missing", doctor.python((3, 10, 14)).state)
        self.assertEqual("ok", doctor.python((3, 11, 0)).state)

    def test_an_old_twisted_and_none(self) -> None:
        """Both are told with how to get one."""
        self.patch(doctor, "version", lambda name: "22.4.0")
        self.assertEqual("pip install --upgrade twisted", doctor.twisted().remedy)

        def absent(name: str) -> str:
            raise PackageNotFoundError(name)

        self.patch(doctor, "version", absent)
        self.assertEqual(("missing", "pip install twisted"), (doctor.twisted().state, doctor.twisted().remedy))

    def test_outside_of_an_environment(self) -> None:
        """It is no hindrance, but said."""
        self.patch(sys, "prefix", sys.base_prefix)
        self.assertEqual("optional", doctor.environment().state)

    def test_a_library_that_is_not_there(self) -> None:
        """What it is used for, and how to get it."""
        found = doctor.library("no_such_library", "none", "nothing, chapter 9", "pip install none")
        self.assertEqual(("missing", "pip install none"), (found.state, found.remedy))
        self.assertIn("chapter 9", found.told)

    def test_no_port_can_be_opened(self) -> None:
        """As in a sandbox without a network."""

        def refuse(*arguments: object, **options: object) -> None:
            raise OSError("not permitted")

        self.patch(socket, "create_server", refuse)
        found = doctor.loopback()
        self.assertEqual("missing", found.state)
        self.assertIn("not permitted", found.told)

    def test_a_folder_that_cannot_be_written(self) -> None:
        """One that is not there stands for all."""
        found = doctor.writable(Path("nowhere"))
        self.assertEqual("missing", found.state)
        self.assertIn("nowhere", found.told)

    def test_a_clock_in_the_past(self) -> None:
        """Certificates would not be valid yet."""
        self.assertEqual("missing", doctor.clock(datetime(1970, 1, 1, 0, 5, tzinfo=UTC)).state)

    def test_a_program_that_is_not_installed(self) -> None:
        """The demonstrations go on without."""
        found = doctor.program("no-such-program", "shows nothing")
        self.assertEqual("optional", found.state)
        self.assertIn("Python take its part", found.told)
