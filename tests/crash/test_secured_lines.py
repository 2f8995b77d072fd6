"""A gateway that is killed while devices send over TLS: each line that was acknowledged is there, once."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.rig.forked import Nursery
from tests.rig.running_plant import CONFIGURATION, DEADLINE, RunningPlant
from twisted.trial.unittest import SynchronousTestCase

from lineside.security.pki import Pki
from lineside.security.x509forms import Purpose

DEVICES = 4
DEATHS = 3
BURST = 50
"""Lines that a device sends before it looks for their answers."""
SECURED = """
tls = "gateway"
ca = "pki/ca.pem"
crl = "pki/crl.pem"

[tls.gateway]
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
"""


class Device(threading.Thread):
    """Sends its lines in bursts, and again what had no answer, until it is told to stop and all have one."""

    def __init__(self, name: str, plant: RunningPlant, context: ssl.SSLContext) -> None:
        super().__init__(name=name)
        self.acknowledged: dict[str, int] = {}
        self.enough = threading.Event()
        self.failure: Exception | None = None
        self._plant = plant
        self._context = context

    def run(self) -> None:
        try:
            owed: list[str] = []
            number = 0
            while owed or not self.enough.is_set():
                if not owed:
                    owed = [f"{self.name}-{number + each}" for each in range(BURST)]
                    number += BURST
                try:
                    owed = self._send(owed)
                except OSError:
                    # It was killed, or is not there yet.
                    self.enough.wait(0.05)
        except Exception as failed:  # noqa: BLE001 (the test tells it)
            self.failure = failed

    def _send(self, owed: list[str]) -> list[str]:
        port = int(self._plant.sources["gate"].rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            while owed:
                secured.sendall(b"".join(b'{"scan_id": "%s"}\n' % each.encode() for each in owed))
                answers = secured.makefile("rb")
                while owed:
                    answer = answers.readline()
                    if not answer.endswith(b"\n"):
                        return owed
                    assert answer.startswith(b"OK "), answer
                    self.acknowledged[owed.pop(0)] = int(answer.split()[1])
        return owed


class SecuredLines(SynchronousTestCase):
    """Over mutual TLS, with keys by which a repeat is known."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery) -> None:
        self.directory, self.nursery = tmp_path, nursery

    def context(self, name: str) -> ssl.SSLContext:
        paper = self.pki.issue(name, Purpose(sources=("gate",)))
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        context.load_cert_chain(paper.certificate, paper.key)
        return context

    def test_nothing_acknowledged_is_lost(self) -> None:
        """Nor is anything there twice, nor under another device's name."""
        self.pki = Pki(self.directory / "pki")
        self.pki.init()
        self.pki.issue("gateway", Purpose(hosts=("localhost",)))
        plant = RunningPlant(self.directory, self.nursery)
        plant.configuration = CONFIGURATION.replace('device = "reader"\n', SECURED, 1)
        self.addCleanup(plant.stop)
        plant.start()
        devices = [Device(name, plant, self.context(name)) for name in map("scanner-{}".format, range(DEVICES))]
        for device in devices:
            device.start()
            self.addCleanup(device.enough.set)
        for _ in range(DEATHS):
            before = [len(device.acknowledged) for device in devices]
            plant.until(
                "lines from each device",
                lambda before=before: all(  # type: ignore[misc]
                    len(device.acknowledged) > seen + BURST for device, seen in zip(devices, before, strict=True)
                ),
            )
            plant.kill_gateway()
            plant.start_gateway()
        for device in devices:
            device.enough.set()
        for device in devices:
            device.join(DEADLINE)
            self.assertIsNone(device.failure)
            self.assertFalse(device.is_alive())
        stored: dict[str, tuple[int, str]] = {}
        after = 0
        while page := self.page(plant, after):
            for event in page:
                key = event["key"]
                self.assertNotIn(key, stored)
                stored[key] = (event["seq"], event["device"])
                after = event["seq"]
        promised = {key: (seq, device.name) for device in devices for key, seq in device.acknowledged.items()}
        self.assertEqual(promised, stored)

    def page(self, plant: RunningPlant, after: int) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for line in plant.lineside(
                "events", "list", "--json", "--after", str(after), "--limit", "500"
            ).splitlines()
        ]
