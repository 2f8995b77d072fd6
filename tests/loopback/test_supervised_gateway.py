"""`lineside run` under a supervisor that listens as systemd does: on a real datagram socket."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.rig.forked import Nursery
from twisted.trial.unittest import SynchronousTestCase

PATIENCE = 60.0
"""Seconds for anything that a busy machine may delay."""
CONFIGURATION = """
[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = { credential = "erp-key" }
api_secret = { credential = "erp-secret" }

[sources.gate]
type = "lines"
listen = "tcp:0:interface=127.0.0.1"

[routes.checkin]
doctype = "Employee Checkin"
document = { employee = "{{ employee }}" }
"""


class SupervisedGateway(SynchronousTestCase):
    """What it tells, and when."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        (self.directory / "lineside.toml").write_text(CONFIGURATION)
        for name in ("erp-key", "erp-secret"):
            (self.directory / name).write_text("x\n")
        # Beside the directory, whose path may be longer than a socket's may.
        place = TemporaryDirectory(prefix="lineside-")
        self.addCleanup(place.cleanup)
        self.path = f"{place.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.settimeout(PATIENCE)

    def listen(self, address: str) -> None:
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def start(self, **environ: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        self.gateway = subprocess.Popen(
            [*self.nursery.command, "run", "--log-format", "json"],
            cwd=self.directory,
            env={**inherited, "CREDENTIALS_DIRECTORY": str(self.directory), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.gateway.communicate)
        self.addCleanup(self.gateway.kill)

    def log(self, event: str) -> dict[str, Any]:
        """Read the log up to an event of this name."""
        assert self.gateway.stderr is not None
        late = threading.Timer(PATIENCE, self.gateway.kill)
        late.start()
        seen = []
        try:
            for line in self.gateway.stderr:
                seen.append(line)
                with contextlib.suppress(ValueError):
                    entry: dict[str, Any] = json.loads(line)
                    if entry["event"] == event:
                        return entry
        finally:
            late.cancel()
        raise AssertionError(f"the gateway did not come to {event}:\n{''.join(seen)}")

    def heard(self) -> dict[str, str]:
        """Return the next datagram's assignments."""
        lines = self.socket.recv(65_536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def heard_with(self, name: str) -> dict[str, str]:
        """Return the next datagram that assigns a name."""
        while name not in (heard := self.heard()):
            pass
        return heard

    def tells(self, address: str) -> None:
        self.listen(address)
        self.start(NOTIFY_SOCKET=address, WATCHDOG_USEC="100000")
        ready = self.heard_with("READY")
        self.assertEqual("1", ready["READY"])
        self.assertTrue(ready["STATUS"].startswith("1 source with 0 connections; "), ready)
        port = int(self.log("source.listening")["address"].rpartition(":")[2])
        for _ in range(3):
            self.assertEqual({"WATCHDOG": "1"}, self.heard_with("WATCHDOG"))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            while "with 1 connection;" not in self.heard_with("STATUS")["STATUS"]:
                pass
        self.gateway.terminate()
        self.assertEqual("1", self.heard_with("STOPPING")["STOPPING"])
        self.assertEqual(0, self.gateway.wait(PATIENCE))

    def test_tells_a_socket_in_the_file_system(self) -> None:
        """Ready, signs of life, what it is doing, and that it stops: to a path, as systemd gives it."""
        self.tells(self.path)

    def test_tells_a_socket_with_an_abstract_name(self) -> None:
        """The same to a name that no file has, as supervisors in containers give it."""
        self.tells(f"@lineside-{secrets.token_hex(8)}")

    def test_a_writer_that_is_stuck_ends_the_signs_of_life(self) -> None:
        """Another program holds the database, so that a commit hangs: no sign until it goes on, nothing lost."""
        self.listen(self.path)
        self.start(NOTIFY_SOCKET=self.path, WATCHDOG_USEC="800000")
        self.heard_with("READY")
        port = int(self.log("source.listening")["address"].rpartition(":")[2])
        with (
            contextlib.closing(sqlite3.connect(self.directory / "journal.db", isolation_level=None)) as other,
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as device,
        ):
            other.execute("BEGIN IMMEDIATE")
            device.sendall(b'{"employee": "HR-EMP-00001"}\n')
            self.assertEqual("journal-writer", self.log("watchdog.unanswered")["silent"])
            signs = self.waiting()
            self.assertEqual([], self.waiting(), signs)
            other.execute("ROLLBACK")
            self.log("watchdog.answered")
            self.assertEqual("1", self.heard_with("WATCHDOG")["WATCHDOG"])
            self.assertEqual("OK 1\n", device.makefile().readline())

    def waiting(self) -> list[str]:
        """Return the signs of life that have arrived and were not read yet."""
        self.socket.setblocking(False)
        signs = []
        with contextlib.suppress(BlockingIOError):
            while True:
                signs += [name for name in self.heard() if name == "WATCHDOG"]
        self.socket.settimeout(PATIENCE)
        return signs

    def test_a_supervisor_s_end_of_patience_is_explained(self) -> None:
        """SIGABRT, the watchdog's, puts each thread's place into the log."""
        self.start()
        self.log("gateway.ready")
        self.gateway.send_signal(signal.SIGABRT)
        _, rest = self.gateway.communicate(timeout=PATIENCE)
        self.assertEqual(-signal.SIGABRT, self.gateway.returncode)
        self.assertIn("Fatal Python error: Aborted", rest)
        # The store's two threads and the reactor's; who works just then is at a place of its own.
        self.assertGreaterEqual(rest.count("Thread 0x") + rest.count("thread 0x"), 3, rest)
        self.assertIn("workers.py", rest)

    def test_a_health_check_asks_the_gateway_alone(self) -> None:
        """It succeeds while a gateway answers, else fails with a line, and never opens the journal itself."""
        self.start()
        self.log("gateway.ready")
        self.assertEqual((0, ""), self.health())
        self.gateway.terminate()
        self.assertEqual(0, self.gateway.wait(PATIENCE))
        code, complaint = self.health()
        self.assertEqual(1, code)
        self.assertTrue(complaint.startswith("lineside: no gateway "), complaint)
        (self.directory / "journal.db").unlink()
        self.assertEqual((code, complaint), self.health())
        self.assertFalse((self.directory / "journal.db").exists())

    def health(self) -> tuple[int, str]:
        done = self.nursery.run(
            ["status", "--running", "--json", "-c", str(self.directory / "lineside.toml")], {}, PATIENCE
        )
        self.assertEqual(done.code == 0, done.out.startswith("{"), done.out)
        return done.code, done.err

    def test_nobody_to_tell(self) -> None:
        """Without a supervisor it works as ever, and gives no sign to anybody."""
        self.listen(self.path)
        self.start(WATCHDOG_USEC="100000")
        self.log("gateway.ready")
        self.gateway.terminate()
        self.assertEqual(0, self.gateway.wait(PATIENCE))
        self.assertEqual([], self.waiting())
