"""The benchmark's own parts: what it counts is what was sent and answered."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.rig.certificates import Authority
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


class Counter:
    """Answers like one of the two wires, and remembers how many lines came."""

    def __init__(self, answer: bytes, line_end: bytes) -> None:
        self.lines = 0
        self.first = b""
        self._answer = answer
        self._line_end = line_end
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, self._listening, contextlib.suppress(ConnectionError):
            tail = b""
            while data := connection.recv(65_536):
                *whole, tail = (tail + data).split(self._line_end)
                self.first = self.first or whole[0]
                self.lines += len(whole)
                connection.sendall(self._answer * len(whole))

    def join(self) -> None:
        self._thread.join(30)


class Generator(SynchronousTestCase):
    """The load both sides get."""

    def drive(
        self, port: int, wire: str, in_flight: int, authority: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        plan = {
            "port": port,
            "wire": wire,
            "connections": 1,
            "in_flight": in_flight,
            "warm_up": 0.1,
            "seconds": 0.3,
            "timed": in_flight == 1,
            "authority": authority,
        }
        return subprocess.run(
            [sys.executable, str(BENCHMARKS / "lines" / "generator.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def result(self, wire: str, in_flight: int, server: Counter) -> dict[str, Any]:
        done = self.drive(server.port, wire, in_flight)
        server.join()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def test_lines_are_counted_once_each(self) -> None:
        """Every line that arrived was answered, and every answer counted; all lines are whole."""
        server = Counter(b"OK 12345\n", b"\n")
        result = self.result("lines", 3_000, server)
        self.assertEqual(result["answered"], server.lines)
        self.assertTrue(0 < result["counted"] < result["answered"])
        self.assertEqual(json.loads(server.first)["scan_id"], "0000-000000000000")
        self.assertEqual(len(server.first), result["line_bytes"])

    def test_lines_over_tls_are_counted_once_each(self) -> None:
        """Against the sink with a certificate; in bulk, where a socket is full at times, and one by one."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        authority = Authority(directory)
        shown = authority.sign("127.0.0.1")
        sink = subprocess.Popen(
            [sys.executable, str(BENCHMARKS / "lines" / "sink.py"), str(shown.certificate), str(shown.key)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(sink.communicate)
        self.addCleanup(sink.kill)
        assert sink.stdout is not None
        port = int(sink.stdout.readline())
        for in_flight in (3_000, 1):
            done = self.drive(port, "lines", in_flight, str(authority.path))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            result = json.loads(done.stdout)
            self.assertTrue(0 < result["counted"] < result["answered"])

    def test_handshakes_are_counted(self) -> None:
        """Against the echo on bare Twisted; one whose certificate is another's is a failure."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        authority = Authority(directory)
        shown = authority.sign("127.0.0.1")
        echo = subprocess.Popen(
            [sys.executable, str(BENCHMARKS / "tls" / "echo.py"), str(shown.certificate), str(shown.key)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(echo.communicate)
        self.addCleanup(echo.kill)
        assert echo.stdout is not None
        plan: dict[str, Any] = {"port": int(echo.stdout.readline()), "server": echo.pid}
        plan |= {"at_a_time": 2, "warm_up": 0.1, "seconds": 0.5}
        for trusted, code in ((authority, 0), (Authority(directory, "Another CA"), 1)):
            plan["authority"] = str(trusted.path)
            done = subprocess.run(
                [sys.executable, str(BENCHMARKS / "tls" / "handshakes.py"), json.dumps(plan)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, code, done.stderr)
            if code:
                self.assertIn("certificate verify failed", done.stderr)
            else:
                result = json.loads(done.stdout)
                self.assertTrue(0 < result["counted"] < result["made"])
                self.assertTrue(result["used"] > 0 < result["server_busy"])

    def test_redis_replies_are_counted_once_each(self) -> None:
        """The same lines as XADD commands, the same count of their bulk replies."""
        server = Counter(b"$15\r\n1795374397438-0\r\n", b"*5\r\n$4\r\nXADD\r\n")
        result = self.result("redis", 1_000, server)
        self.assertEqual(result["answered"], server.lines)

    def test_times_of_one_line_in_flight(self) -> None:
        """With one line in flight each line's time is known."""
        server = Counter(b"OK 1\n", b"\n")
        result = self.result("lines", 1, server)
        self.assertEqual(result["answered"], server.lines)
        self.assertTrue(0 < result["p50_ms"] <= result["p99_ms"])

    def test_a_line_that_is_not_stored_ends_it(self) -> None:
        """An answer with an error is no answer."""
        for wire, answer in (("lines", b"ERR unavailable full\n"), ("redis", b"-ERR no\r\n")):
            server = Counter(answer, b"\n")
            done = self.drive(server.port, wire, 1)
            server.join()
            self.assertEqual(done.returncode, 1)
            self.assertIn("did not store", done.stderr)


class Gateway(SynchronousTestCase):
    """The product as it is measured."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def test_what_is_answered_is_in_the_journal(self) -> None:
        """The gateway takes the benchmark's configuration, and its file holds as many events as it acknowledged."""
        benchmark = runpy.run_path(str(BENCHMARKS / "durable_lines.py"))
        for gateway in ("Lineside", "RoutedLineside"):
            result = benchmark["measure"](benchmark[gateway], (3, 50), 0.3, self.directory)
            self.assertGreater(result["counted"], 0)


class Command(SynchronousTestCase):
    """The command around it."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def run_it(self, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(BENCHMARKS / "durable_lines.py"), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
            env=os.environ if path is None else {**os.environ, "PATH": path},
        )

    def test_without_redis(self) -> None:
        """One line names Debian's package, and the exit code is 1."""
        done = self.run_it(path=str(self.directory))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr, "durable_lines: redis-server is not installed: apt-get install redis-server\n"
        )

    def test_a_shape_that_is_none(self) -> None:
        """A slip in --shapes is wrong use: exit 2, with the right form."""
        for wrong in ("64", "64x", "0x4", "64x1,,8x8"):
            done = self.run_it("--shapes", wrong)
            self.assertEqual(done.returncode, 2)
            self.assertIn("such as 64x1", done.stderr)
