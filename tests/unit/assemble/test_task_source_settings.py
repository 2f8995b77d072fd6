"""What the configuration can say of what tasks bring in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.parts import JournalPart
from lineside.assemble.rehearsal import Rehearsal
from lineside.assemble.settings import Settings
from lineside.assemble.tasksources import status_of, task_sources
from lineside.assemble.watching import Watching
from lineside.model.errors import ConfigurationError
from lineside.testing.workers import call_at_once

SOURCE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ text }}" }

[sources.found]
type = "tasks"
"""


class TaskSourceSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def load(self, more: str = "") -> Settings:
        self.path.write_text(SOURCE + more)
        return load(self.path, {"KEY": "k"})

    def test_little_must_be_said(self) -> None:
        """A source needs a name and a type; its events can be tried as lines, each an object."""
        settings = self.load('dedupe = "id"\ndevice = "by"\n')
        one, again = Rehearsal(settings, "found", lambda: 0).lines([b'{"id": 1, "by": "s1", "text": "x"}\n'] * 2)
        self.assertEqual((one.event.key, one.event.device, list(one.routes)), ("1", "s1", ["note"]))
        self.assertEqual(again.repeats, 1)

    def test_it_listens_to_nobody(self) -> None:
        """A format or a port would do nothing."""
        wrong = self.assertRaises(ConfigurationError, self.load, 'listen = "tcp:1"\nformat = "csv"\n')
        self.assertEqual(
            [f"{self.path}: sources.found.{key}: unknown key" for key in ("listen", "format")], wrong.problems
        )

    def test_it_is_a_source_like_the_others(self) -> None:
        """The gateway tells of it in its status, and can watch whether it falls silent."""
        settings = self.load('silence = "1h"\n')
        clock: Any = Clock()
        clock.callFromThread = call_at_once
        watching = Watching(clock, settings, JournalPart(clock, settings.journal))
        filled = task_sources(settings, watching.journals)
        filled.received["found"] += 2
        [status] = [watching.told(each) for each in status_of(filled)]
        self.assertEqual(("found", "tasks", 2, []), (status.id, status.address, status.received, status.silent))
