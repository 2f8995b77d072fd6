"""Live clients count where open files are shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.assemble.build import Gateway
from lineside.assemble.config import load
from lineside.assemble.descriptors import RESERVED

CONFIGURATION = """
[journal]
path = "journal.db"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "key"
api_secret = "secret"

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"
max_connections = 100

[routes.checkin]
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }

[http]

[live]
max_connections = 500
"""


class UnusedReactor(MemoryReactorClock):
    """Nothing is started, so that no thread has anything to say."""

    def callFromThread(self, *args: object) -> None:
        raise AssertionError(args)


class LiveRoom(SynchronousTestCase):
    """A gateway with a hundred devices and five hundred live clients."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def room(self, descriptors: int) -> tuple[int, int, list[LogEvent]]:
        """Return the connections of devices and of live clients, and what was said of open files."""
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        with capturedLogs() as said:
            gateway = Gateway(UnusedReactor(), load(path, {}), descriptors=descriptors)
        assert gateway.live is not None
        few = [each for each in said if each["log_format"] == "gateway.few_descriptors"]
        return gateway.sources[0].intake.limits.max_connections, gateway.live.part.max_connections, few

    def test_enough_for_all(self) -> None:
        """Nothing is said."""
        self.assertEqual((100, 500, []), self.room(RESERVED + 600))

    def test_too_few(self) -> None:
        """Devices keep what they have, live clients get the rest, and the log says how many files it takes."""
        devices, live, [few] = self.room(RESERVED + 300)
        self.assertEqual((100, 200, 300, 600), (devices, live, few["connections"], few["wanted"]))
        self.assertIn(str(RESERVED + 600), few["remedy"])
