"""Programs that post events to a gateway of its own process, over real sockets: much, strangely, and half."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.rig.api_plant import ApiPlant
from tests.rig.forked import Nursery
from tests.rig.running_plant import DEADLINE
from twisted.trial.unittest import SynchronousTestCase

MB = 1024 * 1024
ROOM = 40 * MB
"""More than a few parts of a body and their copies take; about half of the smallest body here."""
HEAD = (
    b"POST /api/v1/events/board HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Posting(SynchronousTestCase):
    """One gateway, whose source ``board`` needs no token."""

    timeout = 180

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        self.plant = ApiPlant(self.directory, self.nursery)
        self.addCleanup(self.plant.stop)
        self.plant.start()
        url = urlsplit(self.plant.url)
        assert url.hostname is not None
        assert url.port is not None
        self.address = (url.hostname, url.port)

    def post(self, body: bytes | Iterable[bytes], **headers: str) -> tuple[int, Any]:
        """Post a body, in chunks where it comes in pieces."""
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE)
        self.addCleanup(connection.close)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Content-Type": "application/json", **named}
        connection.request("POST", "/api/v1/events/board", body, given)
        answer = connection.getresponse()
        return answer.status, json.load(answer)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.address, DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def memory(self) -> int:
        """Return the most memory that the gateway took since `forget_memory`."""
        status = Path(f"/proc/{self.plant.gateway_pid}/status").read_text()
        [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) * 1024

    def forget_memory(self) -> int:
        """Begin to measure anew; return what it takes now."""
        Path(f"/proc/{self.plant.gateway_pid}/clear_refs").write_text("5")
        return self.memory()

    def test_a_body_of_any_length_takes_little_memory(self) -> None:
        """Many events, one that has no end, and a bomb: the gateway holds only a part of each at a time."""
        part = b'{"text": "%s"}\n' % (b"x" * 1000) * 1000
        # The journal's caches grow once, whoever fills them.
        self.post((part for _ in range(20)), Content_Type="application/x-ndjson")
        before = self.forget_memory()
        count = 75
        status, told = self.post((part for _ in range(count)), Content_Type="application/x-ndjson")
        self.assertEqual((status, len(told["sequences"])), (202, 1000 * count))
        grown = self.memory() - before
        self.assertLess(grown, ROOM, f"{count} MB of events took {grown / MB:.1f} MB")

        def endless() -> Iterator[bytes]:
            yield b'[{"text": "'
            for _ in range(80):
                yield b"y" * MB
            yield b'"}, {"after": 1}]'

        before = self.forget_memory()
        status, told = self.post(endless())
        self.assertEqual((status, [each["code"] for each in told["rejected"]]), (202, ["too-long"]))
        self.assertEqual(told["rejected"][0]["index"], 0)
        grown = self.memory() - before
        self.assertLess(grown, ROOM, f"one event of 80 MB took {grown / MB:.1f} MB")

        before = self.forget_memory()
        bomb = gzip.compress(b" " * (200 * MB))
        status, told = self.post(bomb, Content_Encoding="gzip")
        self.assertEqual((status, told["stored"]), (413, 0))
        grown = self.memory() - before
        self.assertLess(grown, ROOM, f"a bomb of 200 MB took {grown / MB:.1f} MB")

    def test_who_closes_their_side_is_answered(self) -> None:
        """The request was sent whole, so that it counts; who closes in the middle of one sends nothing."""
        connection = self.connect()
        connection.sendall(HEAD % 8 + b'{"a": 1}')
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 202 "), answer)
        half = self.connect()
        half.sendall(HEAD % 100 + b'{"a": ')
        half.shutdown(socket.SHUT_WR)
        self.assertEqual(half.recv(65_536), b"")
        self.assertEqual(self.post(b'{"b": 1}')[1]["sequences"], [2])

    def test_the_slow_hold_up_nobody_else(self) -> None:
        """One that sends a byte at a time is served in the end, and others meanwhile."""
        slow = self.connect()
        message = HEAD % 13 + b'{"slow": "1"}'
        for place in range(len(message)):
            slow.sendall(message[place : place + 1])
            if place % 40 == 0:
                self.assertEqual(self.post(b'{"quick": 1}')[0], 202)
        self.assertTrue(slow.recv(65_536).startswith(b"HTTP/1.1 202 "))

    def test_what_is_no_request_is_answered_and_cut(self) -> None:
        """Nonsense, TLS, a head without end, lengths that contradict one another: 400, and the end."""
        for wrong in (
            b"nonsense\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) + b"\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000,
            b"GET /" + b"x" * 100_000,
            HEAD[:-2] % 2 + b"Content-Length: 3\r\n\r\n{}",
            HEAD[:-2] % 2 + b"Transfer-Encoding: chunked\r\n\r\n{}",
        ):
            connection = self.connect()
            try:
                connection.sendall(wrong)
                answer = b"".join(iter(lambda: connection.recv(65_536), b""))  # noqa: B023 (called at once)
            except ConnectionResetError:
                # Much of it was not read any more.
                continue
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (wrong[:60], answer))
        self.assertEqual(self.post(b"{}")[0], 202)
