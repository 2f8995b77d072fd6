"""A flood from one address at a running gateway, and a good client at another: every door, over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, DEADLINE, RunningPlant
from twisted.trial.unittest import SynchronousTestCase

FLOODS = [f"127.0.0.{last}" for last in range(66, 71)]
"""One for each kind: what is closed at one door may still be counted when the next is tried."""
GOOD = "127.0.0.7"
LIMITS = """
[limits]
trusted = ["127.0.0.1/32"]
connections = 5
requests = "20/h"
"""
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class LimitedPlant(RunningPlant):
    """A plant where one address may have little."""

    configuration = CONFIGURATION + LIMITS


class Floods(SynchronousTestCase):
    """What one address cannot do to another."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def setUp(self) -> None:
        self.plant = LimitedPlant(self.directory, self.nursery)
        self.addCleanup(self.plant.stop)
        self.plant.start()

    def ask(
        self, path: str, host: str, headers: dict[str, str] | None = None, held: ExitStack | None = None
    ) -> tuple[int, str | None]:
        """Ask from an address; return the status and ``Retry-After``, and leave the connection open where held."""
        address, _, port = self.plant.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(address, int(port), DEADLINE, source_address=(host, 0))
        with ExitStack() as here:
            (held or here).callback(connection.close)
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            if answer.status == 101:
                (held or here).callback(answer.close)
            else:
                answer.read()
            return answer.status, answer.getheader("Retry-After")

    def device(self, host: str, held: ExitStack) -> str:
        """Send a line from an address over a connection that stays open; return the answer."""
        address, _, port = self.plant.sources["gate"].rpartition(":")
        connection = held.enter_context(
            socket.create_connection((address, int(port)), DEADLINE, source_address=(host, 0))
        )
        connection.sendall(json.dumps({"scan_id": f"{host}-{connection.getsockname()[1]}"}).encode() + b"\n")
        with connection.makefile("rb") as answers:
            return answers.readline().decode().partition(" ")[0]

    def test_the_flood_is_refused_and_the_good_client_served(self) -> None:
        """Lines, connections, requests, tokens, live channels: each refusal says so and is counted."""
        token = {"Authorization": f"Bearer {self.plant.token('board', 'viewer')}"}
        with ExitStack() as held:
            self.assertEqual(["OK"] * 5 + ["ERR"] * 5, [self.device(FLOODS[0], held) for _ in range(10)])
            self.assertEqual("OK", self.device(GOOD, held))
        with ExitStack() as held:
            opened = [self.ask("/healthz", FLOODS[1], held=held) for _ in range(8)]
            self.assertEqual([(200, None)] * 5 + [(429, "5")] * 3, opened)
            self.assertEqual((200, None), self.ask("/healthz", GOOD))
        with ExitStack() as held:
            joined = [self.ask("/connection/websocket", FLOODS[2], UPGRADE | token, held)[0] for _ in range(8)]
            self.assertEqual([101] * 5 + [429] * 3, joined)
            self.assertEqual(101, self.ask("/connection/websocket", GOOD, UPGRADE | token, held)[0])
        # However slow this is, waits that double overtake it.
        guess = {"Authorization": "Bearer guessed"}
        guessed = [self.ask("/api/v1/status", FLOODS[3], guess)[0] for _ in range(18)]
        self.assertEqual([401] * 6, guessed[:6])
        self.assertIn(429, guessed)
        asked = [self.ask("/healthz", FLOODS[4])[0] for _ in range(25)]
        self.assertEqual([200] * 20 + [429] * 5, asked)
        for good in (*FLOODS, GOOD):
            self.assertEqual((200, None), self.ask("/api/v1/status", good, token))
        self.told()

    def told(self) -> None:
        """Look for the counts in the metrics, and for the lines of the log."""
        token = {"Authorization": f"Bearer {self.plant.token('prometheus', 'viewer')}"}
        address, _, port = self.plant.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(address, int(port), DEADLINE)
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics", headers=token)
        metrics = connection.getresponse().read().decode()
        for limit, listener in (("connections", "sources.gate"), ("connections", "http"), ("connections", "live")):
            self.assertIn(f'lineside_limited_total{{limit="{limit}",listener="{listener}"}}', metrics)
        for limit in ("requests", "failed_credentials"):
            self.assertIn(f'lineside_limited_total{{limit="{limit}",listener="http"}}', metrics)
        log = (self.directory / "gateway.log").read_text().splitlines()
        told = {
            (one["limit"], one["caller"]) for line in log if (one := json.loads(line))["event"] == "limits.reached"
        }
        expected = {("connections", f"127.0.0.{n}") for n in (66, 67, 68)}
        self.assertEqual(told, expected | {("requests", FLOODS[4]), ("failed_credentials", FLOODS[3])})
