"""``lineside simulate`` as a process, against a gateway played by a thread."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import socketserver
import subprocess
import threading
from pathlib import Path

import pytest
from tests.rig.forked import Nursery
from twisted.trial.unittest import SynchronousTestCase

from lineside.testing.ledger import LineAcked, LineSent, read_entries

CONFIGURATION = """
[journal]
control = "/run/lineside.sock"

[targets.erp]
type = "frappe"
url = "http://127.0.0.1:9"
api_key = "none"
api_secret = "none"

[sources.scale]
type = "lines"
listen = "tcp:7001:interface=127.0.0.1"
format = { type = "regex", pattern = "(?P<kg>[0-9.]+)kg" }

[sources.sensors]
type = "lines"
listen = "udp:9:interface=127.0.0.1"

[routes.note]
doctype = "ToDo"
document = { description = "{{ payload }}" }
"""


class PlayedGateway(socketserver.ThreadingTCPServer):
    """Acknowledges every line, a repeated one with its first sequence; may cut each n-th line's connection."""

    daemon_threads = True

    def __init__(self, cut_every: int = 0) -> None:
        self.stored: dict[str, int] = {}
        self.cut_every = cut_every
        self.received = 0
        self.first_line = threading.Event()
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def endpoint(self) -> str:
        return f"tcp:127.0.0.1:{self.socket.getsockname()[1]}"


class Answering(socketserver.StreamRequestHandler):
    """One device's connection."""

    def handle(self) -> None:
        gateway = self.server
        assert isinstance(gateway, PlayedGateway)
        for line in self.rfile:
            gateway.received += 1
            seq = gateway.stored.setdefault(json.loads(line)["scan_id"], len(gateway.stored) + 1)
            if gateway.cut_every and gateway.received % gateway.cut_every == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(b"OK %d\n" % seq)
            gateway.first_line.set()


class Simulate(SynchronousTestCase):
    """The command."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def gateway(self, cut_every: int = 0) -> PlayedGateway:
        gateway = PlayedGateway(cut_every)
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        self.addCleanup(gateway.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(gateway.shutdown)
        return gateway

    def simulate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.nursery.command, "simulate", *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    def test_a_counted_run(self) -> None:
        """So many lines, all acknowledged, a summary, and exit 0."""
        gateway = self.gateway()
        done = self.simulate("scanner", "--connect", gateway.endpoint, "--devices", "3", "--count", "20")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(len(gateway.stored), 20)
        self.assertIn("3 scanners", done.stdout)
        self.assertIn("20 lines sent, 20 acknowledged", done.stdout)

    def test_the_record_agrees_with_the_gateway_through_cuts(self) -> None:
        """Lines whose answer was cut off are sent again; the senders' file names each with its sequence."""
        gateway = self.gateway(cut_every=7)
        record = self.directory / "sent.jsonl"
        done = self.simulate(
            *("counter", "--connect", gateway.endpoint, "--count", "20", "--window", "4"),
            *("--json", "--record", str(record)),
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        summary = json.loads(done.stdout)
        self.assertEqual((summary["acked"], summary["unanswered"]), (20, 0))
        self.assertGreater(summary["reconnects"], 0)
        entries = read_entries(record)
        self.assertEqual({e.id: e.seq for e in entries if isinstance(e, LineAcked)}, gateway.stored)
        self.assertEqual(
            [json.loads(e.payload)["scan_id"] for e in entries if isinstance(e, LineSent)], list(gateway.stored)
        )

    def test_nobody_listens(self) -> None:
        """The reason is one line on stderr, and the exit code 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        done = self.simulate("scanner", "--connect", f"tcp:127.0.0.1:{port}", "--seconds", "0.3", "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["sent"], 0)
        self.assertIn("refused", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_an_endpoint_that_is_none(self) -> None:
        """A slip in --connect is wrong use: exit 2 and one line with the right form."""
        for wrong in ("nonsense:1", "tcp", "127.0.0.1:7001", "tcp:127.0.0.1:port"):
            done = self.simulate("scanner", "--connect", wrong)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("tcp:127.0.0.1:7001", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_where_to(self) -> None:
        """Wrong use is one line with the way out, before anything is sent."""
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        source = ("-c", str(path), "--source")
        for arguments, code, advice in (
            ([], 2, "Give --source NAME, or --connect"),
            (["--connect", "tcp:127.0.0.1:7001", "--from", str(path)], 2, "--from needs --source"),
            ([*source, "sensor"], 2, 'there is no source "sensor"; did you mean "sensors"?'),
            ([*source, "sensors"], 2, "give --rate"),
            ([*source, "scale"], 1, "give --from FILE"),
        ):
            done = self.simulate("counter", *arguments)
            self.assertEqual((code, 1), (done.returncode, done.stderr.count("\n")), done.stderr)
            self.assertIn(advice, done.stderr)

    def test_datagrams_to_nobody(self) -> None:
        """What no gateway takes is told where the operating system tells it, and nothing is said to be stored."""
        path = self.directory / "lineside.toml"
        path.write_text(CONFIGURATION)
        done = self.simulate("counter", "-c", str(path), "--source", "sensors", "--rate", "100", "--count", "3")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("3 lines sent", done.stdout)
        self.assertIn("the source answers nothing", done.stdout)

    def test_a_record_that_cannot_be_written(self) -> None:
        """It is said before any line is sent."""
        gateway = self.gateway()
        record = self.directory / "missing" / "sent.jsonl"
        done = self.simulate("scanner", "--connect", gateway.endpoint, "--count", "1", "--record", str(record))
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file or directory", done.stderr)
        self.assertEqual(gateway.received, 0)

    def test_ctrl_c_on_a_terminal(self) -> None:
        """The live line gives way to the summary, every line sent has its answer, and the exit code is 0."""
        gateway = self.gateway()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        running = subprocess.Popen(
            [*self.nursery.command, "simulate", "scanner", "--connect", gateway.endpoint, "--rate", "50"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        os.close(theirs)
        self.assertTrue(gateway.first_line.wait(30))
        seen = b""
        while b"connected" not in seen:
            seen += os.read(ours, 65536)
        running.send_signal(signal.SIGINT)
        try:
            while more := os.read(ours, 65536):
                seen += more
        except OSError:
            pass  # how a terminal says that the other side is closed
        self.assertEqual(running.wait(30), 0, seen)
        sent = len(gateway.stored)
        self.assertIn(f"{sent} lines sent, {sent} acknowledged".encode(), seen)
        self.assertNotIn(b"Traceback", seen)

    def test_help_has_an_example(self) -> None:
        """The quickest way to learn a command is one line of it."""
        self.assertIn("Example: lineside simulate scanner", self.simulate("--help").stdout)
