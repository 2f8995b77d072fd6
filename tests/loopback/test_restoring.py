"""A journal that is copied and put back as docs/guides/operations.md says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.rig.forked import Nursery
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Event, Record, delivery_id
from lineside.testing.journals import JournalOnFile

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "operations.md"
CONFIGURATION = """
[journal]
control = "control"
[targets.erp]
type = "frappe"
url = "http://erp"
api_key = { env = "KEY" }
api_secret = { env = "SECRET" }
[sources.gate]
type = "lines"
listen = "tcp:0"
public = true
[routes.checkin]
doctype = "ToDo"
document = { description = "{{ n }}" }
"""


class Restoring(SynchronousTestCase):
    """One event before the copy, one after it, and one after the copy was put back."""

    @pytest.fixture(autouse=True)
    def around(self, nursery: Nursery) -> None:
        self.nursery = nursery

    def setUp(self) -> None:
        """Do as the page says, with this ``lineside`` and a directory of the test's own for ``/backup``."""
        programs = self.nursery.program(Path("bin").absolute()).parent
        Path("lineside.toml").write_text(CONFIGURATION)
        self.path = f"{programs}:{os.environ['PATH']}"
        blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        [copy] = [block for block in blocks if "lineside journal backup" in block]
        [put_back] = [block for block in blocks if "lineside journal restore" in block]
        journal = JournalOnFile(Path("journal.db").absolute(), lambda: 0)
        self.before = self.store(journal, b'{"n": 1}')
        self.run_block(copy)
        self.after = self.store(journal, b'{"n": 2}')
        journal.close()
        self.run_block(put_back)
        self.restored = JournalOnFile(Path("journal.db").absolute(), lambda: 0)
        self.addCleanup(self.restored.close)

    def run_block(self, block: str) -> None:
        subprocess.run(
            ["sh", "-e", "-c", block.replace("/backup/", "")], check=True, env={**os.environ, "PATH": self.path}
        )

    def store(self, journal: JournalOnFile, body: bytes) -> Record:
        [receipt] = self.successResultOf(Deferred.fromCoroutine(journal.journal.append("gate", [Event(body)])))
        found = self.successResultOf(Deferred.fromCoroutine(journal.journal.get([receipt.seq])))
        return found[receipt.seq]

    def test_what_the_copy_holds_keeps_its_identity(self) -> None:
        """An event that may be delivered already is found at the ERP under its old delivery id."""
        found = self.successResultOf(Deferred.fromCoroutine(self.restored.journal.get([self.before.seq])))
        self.assertEqual(self.before, found[self.before.seq])

    def test_a_new_event_never_gets_a_delivery_id_that_was_used(self) -> None:
        """The sequence is handed out a second time, but in another run: the event becomes a document."""
        new = self.store(self.restored, b'{"n": 3}')
        self.assertEqual(self.after.seq, new.seq)
        self.assertNotEqual(delivery_id(self.after.identity, "checkin"), delivery_id(new.identity, "checkin"))
