"""The benchmark of the HTTP services: what it counts is what was asked and answered, and stored on both sides."""

from __future__ import annotations

import json
import runpy
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FINE = b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'


class Answering:
    """Answers each request of one connection with the same bytes, in the pieces given, and counts them."""

    def __init__(self, *pieces: bytes) -> None:
        self.requests = 0
        self.first = b""
        self._pieces = pieces
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, self._listening:
            while data := connection.recv(65_536):
                self.first = self.first or data
                self.requests += 1
                for piece in self._pieces:
                    connection.sendall(piece)

    def join(self) -> None:
        self._thread.join(30)


class Generator(SynchronousTestCase):
    """The load both sides get."""

    def drive(self, server: Answering, kind: str) -> subprocess.CompletedProcess[str]:
        plan = {"port": server.port, "kind": kind, "connections": 1, "warm_up": 0.1, "seconds": 0.3}
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / "services" / "generator.py"), json.dumps(plan)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        server.join()
        return done

    def test_each_answer_is_counted_once(self) -> None:
        """However it is cut into pieces, an answer is one, and the next request waits for its end."""
        for pieces in ((FINE,), (FINE[:20], FINE[20:-3], FINE[-3:])):
            server = Answering(*pieces)
            done = self.drive(server, "get")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            result: dict[str, Any] = json.loads(done.stdout)
            self.assertEqual(result["answered"], server.requests)
            self.assertTrue(0 < result["counted"] < result["answered"])
            self.assertTrue(0 < result["p50_ms"] <= result["p99_ms"])

    def test_a_post_brings_one_event(self) -> None:
        """Its length is right, and its body is JSON."""
        server = Answering(FINE.replace(b"200 OK", b"202 Accepted"))
        self.assertEqual(self.drive(server, "post").stderr, "")
        head, _, body = server.first.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"POST /api/v1/events/gate HTTP/1.1\r\n"))
        self.assertIn(b"Content-Length: %d" % len(body), head)
        self.assertEqual(json.loads(body)["scan_id"], "0000-00000")

    def test_an_answer_that_is_not_meant_ends_it(self) -> None:
        """Another status, an answer without a length, and more than one answer are none."""
        for answer, told in (
            (FINE.replace(b"200 OK", b"503 No"), "the server answered"),
            (FINE.replace(b"content-length", b"content-width"), "has no length"),
            (FINE + FINE, "more came than was asked for"),
        ):
            done = self.drive(Answering(answer), "get")
            self.assertEqual(done.returncode, 1)
            self.assertIn(told, done.stderr)


class Measured(SynchronousTestCase):
    """The gateway and its peer as they are measured."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = tmp_path
        # It shares what it measures with durable_lines.py beside it.
        monkeypatch.syspath_prepend(BENCHMARKS)

    def test_both_hold_what_they_acknowledged(self) -> None:
        """Either answers both kinds of requests, and has as many events in its file as it took; none for a GET."""
        benchmark = runpy.run_path(str(BENCHMARKS / "http_services.py"))
        for server in ("Lineside", "Starlette"):
            for kind in ("get", "post"):
                result = benchmark["measure"](benchmark[server], kind, 3, 0.3, self.directory)
                self.assertGreater(result["counted"], 0)
                self.assertGreater(result["cpu_us"], 0)


class Command(SynchronousTestCase):
    """The command around it."""

    def test_wrong_use(self) -> None:
        """A slip in an option is told, with exit 2."""
        for words, told in (
            (["--requests", "put"], "is not get, post or get,post"),
            (["--connections", "0"], "--connections must be from 1 to 1000"),
            (["--seconds", "0"], "--seconds must be above 0"),
        ):
            done = subprocess.run(
                [sys.executable, str(BENCHMARKS / "http_services.py"), *words],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn(told, done.stderr)
