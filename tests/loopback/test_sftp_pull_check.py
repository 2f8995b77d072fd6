"""What `lineside check --connect` says of a partner's host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.rig.sshd import Sshd, make_key
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lineside.assemble.config import load
from lineside.assemble.pullsoundings import sound_pull
from lineside.assemble.soundings import Sounding

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[routes.note]
doctype = "ToDo"
document = {{ description = "{{{{ code }}}}" }}

[sources.acme]
type = "sftp-pull"
connect = "tcp:127.0.0.1:{port}"
user = "{user}"
key = "host/client"
known_hosts = "known_hosts"
folder = "{folder}"
path = "acme"
"""


class Checked(TestCase):
    """One partner."""

    timeout = 60

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (processes are real)

        self.reactor: Any = reactor
        self.host = Sshd(reactor, self.directory / "host")
        self.host.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.host.stop()))

    async def sound(self, known: str, folder: str = "") -> Sounding:
        (self.directory / "known_hosts").write_text(known)
        path = self.directory / "lineside.toml"
        folder = folder or str(self.directory)
        path.write_text(CONFIGURATION.format(port=self.host.port, user=self.host.user, folder=folder))
        return await sound_pull(self.reactor, "acme", load(path, environ={}).pulls["acme"])

    async def test_a_host_is_tried(self) -> None:
        """It lets us in and has the folder; one without it is a warning, and one with another key a problem."""
        good = await self.sound(self.host.known_hosts)
        self.assertEqual(([], []), (good.problems, good.warnings))
        self.assertIn(f"127.0.0.1:{self.host.port} lets {self.host.user} in; 2 files", good.found[0])
        lost = await self.sound(self.host.known_hosts, "/nowhere")
        self.assertEqual(["sources.acme: /nowhere: it is not there; see that the folder is right"], lost.warnings)
        other = await self.sound(f"[127.0.0.1]:{self.host.port} {make_key(self.directory / 'other')}\n")
        self.assertIn("shows another key than the one it is known by", other.problems[0])
        self.assertEqual([], other.found)
