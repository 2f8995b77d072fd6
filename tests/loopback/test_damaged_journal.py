"""A journal whose file is damaged, opened as a gateway opens it: on threads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lineside.assemble.journalsettings import JournalSettings
from lineside.assemble.parts import JournalPart
from lineside.assemble.values import Surroundings
from lineside.model.errors import JournalUnusable
from lineside.model.event import Event
from lineside.testing.journals import JournalOnFile

PAGE = 4096


class Damaged(TestCase):
    """Pages in the middle of the file hold garbage."""

    timeout = 30

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "journal.db"
        file = JournalOnFile(self.path, lambda: 0)
        for number in range(50):
            Deferred.fromCoroutine(file.journal.append("gate", [Event(b'{"n": %d}' % number)]))
        file.close()

    def damage(self, *tables: str) -> None:
        """Overwrite the page at which each table begins."""
        connection = sqlite3.connect(self.path)
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))
        connection.close()
        with self.path.open("r+b") as file:
            for table in tables:
                file.seek((roots[table] - 1) * PAGE)
                file.write(b"\xa5" * PAGE)

    async def test_is_told_in_a_line_and_let_go(self) -> None:
        """The start fails with the file's name and what to do; neither a thread nor the lock is left behind."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (its thread calls are real)

        around = Surroundings(self.path.parent, {}, secrets=False, literal_secrets=[])
        settings = JournalSettings.model_validate({"path": self.path.name}, context=around)
        before = threading.active_count()
        for table in ("journal", "segment", "component"):
            with self.subTest(table):
                self.damage(table)
                part = JournalPart(cast(Any, reactor), settings)
                with self.assertRaises(JournalUnusable) as raised:
                    await part.start()
                self.assertEqual(
                    f"{self.path} is damaged (database disk image is malformed): "
                    "`lineside journal check` says where, `lineside journal restore` puts a backup back, "
                    "as the guide Operations shows",
                    str(raised.exception),
                )
                self.assertEqual(before, threading.active_count())
