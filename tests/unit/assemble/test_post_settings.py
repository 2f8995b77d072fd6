"""What the configuration can say of events that come over HTTP, and what it is told where that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.config import load
from lineside.assemble.rehearsal import Rehearsal
from lineside.assemble.settings import Settings
from lineside.model.errors import ConfigurationError

SOURCE = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:1"
api_key = { env = "KEY" }
api_secret = { env = "KEY" }

[routes.note]
doctype = "ToDo"
document = { description = "{{ text }}" }

[sources.web]
type = "http"
"""
HTTP = "[http]\n"


class PostSettings(SynchronousTestCase):
    """One configuration, altered."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lineside.toml"

    def load(self, more: str = "", http: str = HTTP) -> Settings:
        self.path.write_text(SOURCE + more + http)
        return load(self.path, {"KEY": "k"})

    def problems(self, more: str = "", http: str = HTTP) -> list[str]:
        wrong = self.assertRaises(ConfigurationError, self.load, more, http)
        return [problem.removeprefix(f"{self.path}: ") for problem in wrong.problems]

    def test_little_must_be_said(self) -> None:
        """A source needs a name, a type and HTTP; it takes nothing without a token unless that is said."""
        source = self.load().posts["web"]
        self.assertEqual((source.anonymous, source.dedupe, source.max_event), (False, None, 65_536))

    def test_without_http_nobody_could_send(self) -> None:
        """The table is missed by name."""
        self.assertEqual(self.problems(http=""), ["sources.web: nobody can send to it without a table [http]"])

    def test_it_has_no_keys_of_other_sources(self) -> None:
        """A format or a port would do nothing."""
        self.assertEqual(
            self.problems('listen = "tcp:1"\nformat = "csv"\n'),
            ["sources.web.listen: unknown key", "sources.web.format: unknown key"],
        )

    def test_its_events_can_be_tried(self) -> None:
        """As lines, each an object: keys, devices and what is too large are found as the gateway does."""
        settings = self.load('dedupe = "id"\ndevice = "by"\nmax_event = 40\n')
        lines = [b'{"id": 1, "by": "s1", "text": "x"}\n', b'{"id": 1}\n', b'{"text": "' + b"x" * 40 + b'"}\n']
        one, again, large = Rehearsal(settings, "web", lambda: 0).lines(lines)
        self.assertEqual((one.event.key, one.event.device, list(one.routes)), ("1", "s1", ["note"]))
        self.assertEqual(again.repeats, 1)
        self.assertEqual((large.event.error or "")[:9], "too-long:")
