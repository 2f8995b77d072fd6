"""What a gateway does not need, its devices do not wait for when it starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[sources.gate]
type = "lines"
{source}

[routes.checkin]
doctype = "Employee Checkin"
document = {{ employee = "{{{{ employee }}}}" }}
"""

STARTING = """
import gc, json, os, sys
before = [each["collections"] for each in gc.get_stats()]
from pathlib import Path
import lineside.cli
lineside.cli.commands.get_command(None, "run")
from lineside.cli.session import settings_of
settings = settings_of(Path("lineside.toml"))
after = [each["collections"] for each in gc.get_stats()]

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from lineside.assemble.build import Gateway
from lineside.assemble.lifecycle import System

async def start():
    system = System(Gateway(reactor, settings).stages)
    try:
        await system.start()
        print(json.dumps({
            "modules": sorted(sys.modules),
            "full collections": after[2] - before[2],
            "collects again": gc.isenabled(),
        }))
    finally:
        await system.stop()
        reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()))
reactor.run()
"""

UNNEEDED = {
    "autobahn",
    "hypothesis",
    "lineside.demo",
    "lineside.edges.lines.dialled",
    "lineside.edges.lines.datagrams",
    "lineside.edges.lines.polling",
    "lineside.edges.lines.serialport",
    "lineside.standin",
    "lineside.testing",
    "lineside.workshop",
    "prometheus_client",
    "rich",
    "serial",
    "treq",
    "twisted.conch",
    "twisted.enterprise.adbapi",
    "twisted.names",
    "twisted.plugins",
    "twisted.trial",
    "twisted.web.resource",
    "twisted.web.server",
    "twisted.words",
}


class LeanStart(TestCase):
    """A gateway of its own process, started up to its last listener."""

    def started(self, source: str) -> dict[str, object]:
        # A control socket's path must be short.
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        (directory / "lineside.toml").write_text(CONFIGURATION.format(source=source))
        done = subprocess.run(
            [sys.executable, "-c", STARTING], cwd=directory, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(0, done.returncode, done.stderr)
        report: dict[str, object] = json.loads(done.stdout)
        return report

    def modules(self, source: str) -> set[str]:
        modules = self.started(source)["modules"]
        assert isinstance(modules, list)
        return set(modules)

    def test_a_gateway_of_lines_has_nothing_else(self) -> None:
        """No server of the web, no shell, no name server, and none of Twisted's plug-ins; over either IP."""
        for listen in ("tcp:0:interface=127.0.0.1", "tcp6:0:interface=\\:\\:1"):
            self.assertEqual(set(), self.modules(f"listen = '{listen}'") & UNNEEDED, listen)

    def test_what_the_configuration_names_is_there(self) -> None:
        """A device that is dialled and polled brings what that takes, and so do datagrams, each the other's not."""
        dialled = self.modules("connect = 'tcp:127.0.0.1:9'\npoll = { send = 'S', every = '1h' }") & UNNEEDED
        self.assertEqual({"lineside.edges.lines.dialled", "lineside.edges.lines.polling"}, dialled)
        datagrams = self.modules("listen = 'udp:0:interface=127.0.0.1'") & UNNEEDED
        self.assertEqual({"lineside.edges.lines.datagrams"}, datagrams)

    def test_imports_without_a_look_for_garbage(self) -> None:
        """Python looks through all there is not once while it imports the gateway, and does again after it."""
        report = self.started("listen = 'tcp:0:interface=127.0.0.1'")
        self.assertEqual((0, True), (report["full collections"], report["collects again"]))
